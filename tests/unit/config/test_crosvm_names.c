/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/control_verbs.h"
#include "config/crosvm_flags.h"
#include "config/crosvm_names.h"

static void test_what_crosvm_has_is_known(void **state) {
        assert_non_null(crosvm_run_option_reason("gpu"));
        assert_non_null(crosvm_run_option_reason("vhost-user-gpu"));
        assert_null(crosvm_run_option_reason("gp"));
        assert_null(crosvm_run_option_reason(""));
        assert_non_null(crosvm_command_reason("usb"));
        assert_null(crosvm_command_reason("run"));
}

/* Of crosvm's commands each is ours, or is refused with a reason. */
static void test_each_command_of_crosvm_works_or_has_a_reason(void **state) {
        static const char *const commands[] = {
                "balloon",      "balloon_stats", "balloon_ws", "battery", "create_composite",
                "create_qcow2", "device",        "devices",    "disk",    "gpe",
                "gpu",          "make_rt",       "powerbtn",   "resume",  "run",
                "sleepbtn",     "snapshot",      "snd",        "stop",    "suspend",
                "swap",         "usb",           "version",    "vfio",    "virtio-net",
        };

        for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
                const bool ours = str_eq(commands[i], "run") || str_eq(commands[i], "version") ||
                                  control_verb_exists(commands[i]);

                assert_int_equal(ours, crosvm_command_reason(commands[i]) == NULL);
        }
}

/* An option that is honoured must not be in the list of those that are not. */
static void test_no_option_is_in_both_lists(void **state) {
        _cleanup_(freep) char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        unsigned n = 0;

        assert_non_null(out);
        crosvm_flags_help(out);
        assert_int_equal(fclose(out), 0);
        for (const char *p = text; (p = strstr(p, " --")); n++) {
                char name[64] = "";

                p += 3;
                for (size_t i = 0; i < sizeof(name) - 1 && (isalnum(p[i]) || p[i] == '-'); i++)
                        name[i] = p[i];
                assert_null(crosvm_run_option_reason(name));
        }
        assert_true(n >= 14);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_crosvm_has_is_known),
                cmocka_unit_test(test_no_option_is_in_both_lists),
                cmocka_unit_test(test_each_command_of_crosvm_works_or_has_a_reason),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
