/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "dbus/client/reasons.h"

static void test_only_shutdown_is_success(void **state) {
        for (size_t i = 0; i < n_death_reasons; i++) {
                const DeathReason *reason = &death_reasons[i];

                assert_int_equal(exit_status_for_reason(reason->code) == EXIT_STATUS_OK,
                                 strcmp(reason->name, "SHUTDOWN") == 0);
        }
}

static void test_every_reason_has_an_exit_status_of_its_own(void **state) {
        unsigned seen[256] = {0};

        for (size_t i = 0; i < n_death_reasons; i++)
                seen[exit_status_for_reason(death_reasons[i].code)]++;
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                assert_true(seen[i] <= 1);
        /* Not what vivctl itself, sysexits.h or a shell would say. */
        for (size_t i = 1; i < 10; i++)
                assert_int_equal(seen[i], 0);
        for (size_t i = EXIT_STATUS_UNKNOWN_REASON; i < ELEMENTSOF(seen); i++)
                assert_int_equal(seen[i], 0);
}

static void test_numbers_follow_the_documented_rule(void **state) {
        assert_int_equal(exit_status_for_reason(0), 10);
        assert_int_equal(exit_status_for_reason(1), 11);
        assert_int_equal(exit_status_for_reason(3), 0);
        assert_int_equal(exit_status_for_reason(17), 27);
        assert_int_equal(exit_status_for_reason(100), 40);
        assert_int_equal(exit_status_for_reason(105), 45);
}

static void test_reasons_of_a_newer_service_are_told_as_unknown(void **state) {
        static const int64_t codes[] = {-1, 9, 10, 18, 99, 106, INT64_MAX, INT64_MIN};

        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                assert_null(death_reason_find(codes[i]));
                assert_int_equal(exit_status_for_reason(codes[i]), EXIT_STATUS_UNKNOWN_REASON);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_shutdown_is_success),
                cmocka_unit_test(test_every_reason_has_an_exit_status_of_its_own),
                cmocka_unit_test(test_numbers_follow_the_documented_rule),
                cmocka_unit_test(test_reasons_of_a_newer_service_are_told_as_unknown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
