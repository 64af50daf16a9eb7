/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "crosvm_launcher/args.h"

static void test_descriptors_are_annotated_with_their_files(void **state) {
        _cleanup_(fd_map_deinit) FdMap map = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        _cleanup_(freep) char *text = NULL, *expected = NULL;
        char path[] = "/tmp/vivarium-args-XXXXXX";
        _cleanup_(fd_closep) int fd = mkstemp(path);
        int target;

        assert_true(fd >= 0);
        assert_int_equal(fd_map_add(&map, fd, &target), 0);
        assert_int_equal(strvec_add(&argv, "vmm"), 0);
        assert_int_equal(strvec_add(&argv, "path=/proc/self/fd/3,ro=true"), 0);
        assert_int_equal(strvec_add(&argv, "/proc/self/fd/4 /proc/self/fd/"), 0);
        assert_int_equal(strvec_add(&argv, "/proc/self/fd/99999999999999999999999"), 0);
        assert_int_equal(strvec_add(&argv, ""), 0);
        assert_int_equal(launch_args_describe(&argv, &map, &text), 0);
        assert_true(asprintf(&expected,
                             "vmm path=/proc/self/fd/3 (%s),ro=true "
                             "'/proc/self/fd/4 /proc/self/fd/' "
                             "/proc/self/fd/99999999999999999999999 ''",
                             path) > 0);
        assert_string_equal(text, expected);
        assert_int_equal(unlink(path), 0);
}

/* The plan of a VM that wants its memory kept. */
static void build_with_dump(VmmDialect dialect, LaunchArgs *ret) {
        _cleanup_(launch_plan_deinit) LaunchPlan plan;
        _cleanup_(fd_closep) int kernel = fd_memfd_from("kernel", "k", 1);
        _cleanup_(fd_closep) int dump = fd_memfd_from("dump", "", 0);

        assert_true(kernel >= 0 && dump >= 0);
        launch_plan_init(&plan);
        plan.vmm_path = strdup("/usr/bin/vmm");
        plan.dialect = dialect;
        plan.vm_name = strdup("a");
        plan.ramdump_out = dump;
        assert_int_equal(vm_config_parse("{\"kernel\": \"fd:k\"}", &plan.config, NULL), 0);
        assert_int_equal(launch_plan_add_file(&plan, "k", kernel), 0);
        assert_int_equal(launch_args_build(&plan, ret, NULL), 0);
}

static void test_our_vmm_writes_the_dump_itself(void **state) {
        _cleanup_(launch_args_deinit) LaunchArgs args = {0};

        build_with_dump(VMM_DIALECT_VIVARIUM, &args);
        assert_non_null(args.vmm.ramdump);
        assert_int_equal(strncmp(args.vmm.ramdump, "/proc/self/fd/", 14), 0);
        assert_int_equal(args.vmm.serials[3].type, VMM_SERIAL_SINK);
        assert_int_equal(args.vmm.params.n, 0);
}

static void test_the_guest_of_another_vmm_writes_the_dump_to_hvc1(void **state) {
        _cleanup_(launch_args_deinit) LaunchArgs args = {0};

        build_with_dump(VMM_DIALECT_CROSVM, &args);
        assert_null(args.vmm.ramdump);
        assert_int_equal(args.vmm.serials[3].type, VMM_SERIAL_FILE);
        assert_int_equal(args.vmm.params.n, 1);
        assert_string_equal(args.vmm.params.items[0], "crashkernel=17M");
}

static void test_devices_of_the_host_are_named_in_their_order(void **state) {
        _cleanup_(launch_plan_deinit) LaunchPlan plan;
        _cleanup_(launch_args_deinit) LaunchArgs args = {0};
        _cleanup_(fd_closep) int kernel = fd_memfd_from("kernel", "k", 1);

        launch_plan_init(&plan);
        plan.vmm_path = strdup("/usr/bin/vmm");
        plan.vm_name = strdup("a");
        assert_int_equal(
                vm_config_parse("{\"kernel\":\"fd:k\",\"devices\":[\"/sys/b\",\"/sys/a\"]}",
                                &plan.config, NULL),
                0);
        assert_int_equal(launch_plan_add_file(&plan, "k", kernel), 0);
        assert_int_equal(launch_args_build(&plan, &args, NULL), 0);
        assert_int_equal(args.vmm.n_vfios, 2);
        assert_string_equal(args.vmm.vfios[0].path, "/sys/b");
        assert_string_equal(args.vmm.vfios[1].path, "/sys/a");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_our_vmm_writes_the_dump_itself),
                cmocka_unit_test(test_the_guest_of_another_vmm_writes_the_dump_to_hvc1),
                cmocka_unit_test(test_devices_of_the_host_are_named_in_their_order),
                cmocka_unit_test(test_descriptors_are_annotated_with_their_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
