/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/crosvm_flags.h"
#include "config/crosvm_names.h"

static void test_what_crosvm_has_is_known(void **state) {
        assert_non_null(crosvm_run_option_reason("gpu"));
        assert_non_null(crosvm_run_option_reason("vhost-user-gpu"));
        assert_null(crosvm_run_option_reason("gp"));
        assert_null(crosvm_run_option_reason(""));
        assert_true(crosvm_has_command("usb"));
        assert_false(crosvm_has_command("run"));
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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
