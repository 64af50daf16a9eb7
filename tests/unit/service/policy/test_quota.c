/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "service/conditions.h"
#include "service/policy/quota.h"

static const Quota limit = {.vms = 2,
                            .starting = 1,
                            .vcpus = 8,
                            .memory_bytes = UINT64_C(1) << 30,
                            .files = 10,
                            .records = 3};

static int check(const Quota *used, const Quota *wanted, const char *sentence) {
        _cleanup_(text_error_deinit) TextError text = {0};
        int r = quota_check(&limit, used, wanted, 1000, &text);

        if (sentence)
                assert_non_null(strstr(text.message, sentence));
        else
                assert_null(text.message);
        return r;
}

static void test_what_fills_a_limit_exactly_fits(void **state) {
        assert_int_equal(check(&(Quota){.vms = 1, .memory_bytes = 512 << 20},
                               &(Quota){.vms = 1, .memory_bytes = 512 << 20}, NULL),
                         0);
}

static void test_the_refusal_names_limit_amount_and_setting(void **state) {
        assert_int_equal(check(&(Quota){.memory_bytes = 512 << 20},
                               &(Quota){.vms = 1, .memory_bytes = 513 << 20},
                               "uid 1000 has 512 MiB of memory, asks for 513 more, and may have "
                               "1024 in all (MemoryPerUser= in vivariumd.conf(5))"),
                         SERVICE_E_QUOTA_EXCEEDED);
        assert_int_equal(check(&(Quota){.vms = 2}, &(Quota){.vms = 1}, "VmsPerUser="),
                         SERVICE_E_QUOTA_EXCEEDED);
        assert_int_equal(
                check(&(Quota){.starting = 1}, &(Quota){.starting = 1}, "StartingPerUser="),
                SERVICE_E_QUOTA_EXCEEDED);
}

static void test_a_sum_that_overflows_is_refused(void **state) {
        assert_int_equal(check(&(Quota){.memory_bytes = 1 << 20},
                               &(Quota){.memory_bytes = UINT64_MAX}, "MemoryPerUser="),
                         SERVICE_E_QUOTA_EXCEEDED);
}

static void test_what_is_not_asked_for_is_not_refused_above_a_lowered_limit(void **state) {
        assert_int_equal(check(&(Quota){.vms = 5, .files = 50}, &(Quota){.starting = 1}, NULL), 0);
}

static void test_infinity_has_no_end(void **state) {
        const Quota none = {QUOTA_UNLIMITED, QUOTA_UNLIMITED, QUOTA_UNLIMITED,
                            QUOTA_UNLIMITED, QUOTA_UNLIMITED, QUOTA_UNLIMITED};

        assert_int_equal(
                quota_check(&none, &(Quota){.vms = UINT64_MAX}, &(Quota){.vms = 1}, 1, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_fills_a_limit_exactly_fits),
                cmocka_unit_test(test_the_refusal_names_limit_amount_and_setting),
                cmocka_unit_test(test_a_sum_that_overflows_is_refused),
                cmocka_unit_test(test_what_is_not_asked_for_is_not_refused_above_a_lowered_limit),
                cmocka_unit_test(test_infinity_has_no_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
