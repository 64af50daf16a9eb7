/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/launch_plan.h"

static void fill(LaunchPlan *plan) {
        launch_plan_init(plan);
        plan->vmm_path = strdup("/usr/bin/vmm");
        plan->vm_name = strdup("a \"b\"");
        plan->log_level = strdup("debug");
        plan->cid = 4294967295;
        plan->hypervisor = VMM_HYPERVISOR_KVM;
        plan->dialect = VMM_DIALECT_CROSVM;
        plan->console_out = 7;
        plan->failure_out = 0;
        plan->status = 2147483647;
        assert_int_equal(launch_plan_add_file(plan, "k", 9), 0);
        assert_int_equal(launch_plan_add_file(plan, "d", 9), 0);
        vm_config_deinit(&plan->config);
        assert_int_equal(vm_config_parse("{\"kernel\":\"fd:k\",\"memory_mib\":77,\"disks\":["
                                         "{\"image\":\"fd:d\",\"writable\":false}],"
                                         "\"network\":[{\"queues\":2},{\"type\":\"user\"}],"
                                         "\"shared_paths\":[{\"tag\":\"t\",\"path\":\"fd:d\"},"
                                         "{\"tag\":\"u\",\"socket\":\"fd:k\"}]}",
                                         &plan->config, NULL),
                         0);
        plan->n_cards = 2;
        plan->cards[0] = (LaunchCard){
                .type = VM_NETWORK_BRIDGE, .mac = {2, 1}, .queues = {11, 12}, .n_queues = 2};
        plan->cards[1] = (LaunchCard){.type = VM_NETWORK_USER, .mac = {2, 2}};
        plan->n_shares = 2;
        plan->shares[0] = (LaunchShare){.listen = 13, .connect = 14};
        plan->shares[1] = (LaunchShare){-EBADF, -EBADF};
        plan->virtiofsd_path = strdup("/usr/bin/virtiofsd");
}

static void test_a_plan_survives_the_way_to_the_launcher(void **state) {
        _cleanup_(launch_plan_deinit) LaunchPlan plan, back;
        _cleanup_(freep) char *text = NULL;

        fill(&plan);
        launch_plan_init(&back);
        assert_int_equal(launch_plan_to_json(&plan, &text), 0);
        assert_int_equal(launch_plan_parse(text, &back, NULL), 0);
        assert_string_equal(back.vmm_path, plan.vmm_path);
        assert_string_equal(back.vm_name, plan.vm_name);
        assert_string_equal(back.log_level, "debug");
        assert_int_equal(back.cid, plan.cid);
        assert_int_equal(back.hypervisor, VMM_HYPERVISOR_KVM);
        assert_int_equal(back.dialect, VMM_DIALECT_CROSVM);
        assert_int_equal(back.console_out, 7);
        assert_int_equal(back.failure_out, 0);
        assert_int_equal(back.status, 2147483647);
        assert_int_equal(back.console_in, -EBADF);
        assert_int_equal(back.log_out, -EBADF);
        assert_int_equal(back.ramdump_out, -EBADF);
        assert_int_equal(back.vmm_stderr, -EBADF);
        assert_int_equal(back.n_files, 2);
        assert_int_equal(launch_plan_find_file(&back, "d"), 9);
        assert_int_equal(launch_plan_find_file(&back, "x"), -ENOENT);
        assert_int_equal(back.config.memory_mib, 77);
        assert_string_equal(back.config.disks[0].image, "d");
        assert_int_equal(back.n_cards, 2);
        assert_int_equal(back.cards[0].type, VM_NETWORK_BRIDGE);
        assert_memory_equal(back.cards[0].mac, plan.cards[0].mac, MAC_LEN);
        assert_int_equal(back.cards[0].queues[1], 12);
        assert_int_equal(back.cards[1].type, VM_NETWORK_USER);
        assert_int_equal(back.cards[1].n_queues, 0);
        assert_int_equal(back.shares[0].connect, 14);
        assert_int_equal(back.shares[1].listen, -EBADF);
        assert_string_equal(back.virtiofsd_path, "/usr/bin/virtiofsd");
}

static void test_incomplete_and_wrong_plans_are_refused(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                {"{}", "vmm_path: expected an absolute path"},
                {"{\"vmm_path\":\"vmm\"}", "vmm_path: expected an absolute path"},
                {"{\"vmm_path\":\"/vmm\"}", "vm_name: expected a name"},
                {"{\"vmm_path\":\"/vmm\",\"vm_name\":\"a\"}", "config: is missing"},
                {"{\"vmm_path\":\"/vmm\",\"vm_name\":\"a\",\"config\":{\"kernel\":\"fd:k\"}}",
                 "kernel: no descriptor is named \"k\""},
                {"{\"vmm_path\":\"/vmm\",\"vm_name\":\"a\",\"config\":{\"kernel\":\"fd:k\","
                 "\"network\":true}}",
                 "cards: expected 1, not 0"},
                {"{\"vmm_path\":\"/vmm\",\"vm_name\":\"a\",\"config\":{\"kernel\":\"fd:k\","
                 "\"network\":{\"queues\":2}},\"cards\":[{\"mac\":\"02:00:00:00:00:01\","
                 "\"type\":\"bridge\",\"queues\":[3]}]}",
                 "cards[0]: expected mac and a descriptor for each queue"},
                {"{\"vmm_path\":\"/vmm\",\"vm_name\":\"a\",\"config\":{\"kernel\":\"fd:k\","
                 "\"shared_paths\":[{\"tag\":\"t\",\"path\":\"fd:k\"}]},\"shares\":[{\"listen\":3}]"
                 "}",
                 "shares[0]: expected sockets for a path alone"},
                {"{\"config\":{\"kernel\":5}}", "kernel: expected a string, not int"},
                {"{\"files\":[{\"name\":\"k\"}]}", "files[0]: expected name and fd"},
                {"{\"files\":[{\"name\":\"k\",\"fd\":3},{\"name\":\"k\",\"fd\":4}]}",
                 "files[1]: \"k\" is given twice"},
                {"{\"console_out\":-1}",
                 "console_out: expected an integer from 0 to 2147483647, not -1"},
                {"{\"hypervisor\":\"xen\"}",
                 "hypervisor: expected \"auto\" or \"kvm\" or \"soft\", not \"xen\""},
                {"{\"dialect\":\"qemu\"}",
                 "dialect: expected \"vivarium\" or \"crosvm\" or \"crosvm-2023\", not \"qemu\""},
                {"{\"surprise\":1}", "surprise: unknown key"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                LaunchPlan plan;

                assert_int_equal(launch_plan_parse(cases[i].text, &plan, &error), -EINVAL);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_the_number_of_files_is_bounded(void **state) {
        _cleanup_(launch_plan_deinit) LaunchPlan plan;

        launch_plan_init(&plan);
        for (unsigned i = 0; i < LAUNCH_FILES_MAX; i++)
                assert_int_equal(launch_plan_add_file(&plan, "x", 3), 0);
        assert_int_equal(launch_plan_add_file(&plan, "x", 3), -E2BIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_plan_survives_the_way_to_the_launcher),
                cmocka_unit_test(test_incomplete_and_wrong_plans_are_refused),
                cmocka_unit_test(test_the_number_of_files_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
