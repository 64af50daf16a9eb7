/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "service/policy/action.h"

static void test_each_action_has_a_word(void **state) {
        assert_string_equal(action_to_id(ACTION_USE_CUSTOM), "org.vivarium.vm1.use-custom");
        assert_string_equal(action_to_word(ACTION_ADMINISTER), "administer");
}

static void test_what_changes_the_host_needs_an_administrator(void **state) {
        const CallRule *rule = action_find_rule(VIVARIUM_MANAGER_INTERFACE, "Drain");

        assert_int_equal(rule->need, NEED_ACTION);
        assert_int_equal(rule->action, ACTION_ADMINISTER);
        assert_true(rule->audited);
}

static void test_an_unknown_call_has_no_rule(void **state) {
        assert_null(action_find_rule(VIVARIUM_MANAGER_INTERFACE, "Destroy"));
        assert_null(action_find_rule("org.example", "ListVms"));
        assert_null(action_find_rule("org.freedesktop.DBus.Properties", "Set"));
}

/* A method without a rule would be an administrator's alone, which nobody may have wanted. */
static void test_each_method_of_the_manager_has_a_rule(void **state) {
        _cleanup_(fd_closep) int fd =
                open("dbus/org.vivarium.vm1.Manager.xml", O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *xml = NULL;
        unsigned n = 0;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, 1 << 20, &xml, NULL), 0);
        for (const char *p = xml; (p = strstr(p, "<method name=\"")); n++) {
                char name[64];

                p += strlen("<method name=\"");
                (void) snprintf(name, sizeof(name), "%.*s", (int) strcspn(p, "\""), p);
                if (!action_find_rule(VIVARIUM_MANAGER_INTERFACE, name))
                        fail_msg("%s has no rule", name);
        }
        assert_true(n > 10);
}

static void test_to_see_a_vm_is_less_than_to_change_it(void **state) {
        assert_true(action_vm_call_is_reading("org.freedesktop.DBus.Properties"));
        assert_false(action_vm_call_is_reading(VIVARIUM_VM_INTERFACE));
        assert_false(action_vm_call_is_reading("org.example"));
}

static void test_a_raw_config_is_custom_and_debugging_is_more(void **state) {
        VmConfig config;

        vm_config_init(&config);
        assert_int_equal(action_set_for_config(&config), 1u << ACTION_USE_CUSTOM);
        config.debug_level = VM_DEBUG_FULL;
        assert_int_equal(action_set_for_config(&config),
                         1u << ACTION_USE_CUSTOM | 1u << ACTION_DEBUG);
        config.debug_level = VM_DEBUG_NONE;
        config.gdb_port = 1234;
        assert_int_equal(action_set_for_config(&config),
                         1u << ACTION_USE_CUSTOM | 1u << ACTION_DEBUG);
        vm_config_deinit(&config);
}

static void test_a_device_of_the_host_is_an_action_of_its_own(void **state) {
        _cleanup_(vm_config_deinit) VmConfig config = {0};

        assert_string_equal(action_to_id(ACTION_ASSIGN_DEVICES), "org.vivarium.vm1.assign-devices");
        assert_int_equal(
                vm_config_parse("{\"kernel\":\"fd:k\",\"devices\":[\"/sys/a\"]}", &config, NULL),
                0);
        assert_int_equal(action_set_for_config(&config),
                         1u << ACTION_USE_CUSTOM | 1u << ACTION_ASSIGN_DEVICES);
}

static void test_an_interface_of_the_host_is_an_action_of_its_own(void **state) {
        static const struct {
                const char *network;
                bool asks;
        } cases[] = {{"true", true},
                     {"{\"type\":\"bridge\"}", true},
                     {"{\"type\":\"user\"}", false},
                     {"[{\"type\":\"user\"},{}]", true},
                     {"false", false}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vm_config_deinit) VmConfig config = {0};
                char text[128];

                (void) snprintf(text, sizeof(text), "{\"kernel\":\"fd:k\",\"network\":%s}",
                                cases[i].network);
                assert_int_equal(vm_config_parse(text, &config, NULL), 0);
                assert_int_equal((action_set_for_config(&config) & (1u << ACTION_NETWORK)) != 0,
                                 cases[i].asks);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_action_has_a_word),
                cmocka_unit_test(test_what_changes_the_host_needs_an_administrator),
                cmocka_unit_test(test_a_device_of_the_host_is_an_action_of_its_own),
                cmocka_unit_test(test_an_interface_of_the_host_is_an_action_of_its_own),
                cmocka_unit_test(test_an_unknown_call_has_no_rule),
                cmocka_unit_test(test_each_method_of_the_manager_has_a_rule),
                cmocka_unit_test(test_to_see_a_vm_is_less_than_to_change_it),
                cmocka_unit_test(test_a_raw_config_is_custom_and_debugging_is_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
