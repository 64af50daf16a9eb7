/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/policy/trim.h"

#define MIB ((uint64_t) 1 << 20)
#define SEC USEC_PER_SEC

static TrimPolicy policy(void) {
        return (TrimPolicy){.interval_usec = TRIM_INTERVAL_USEC};
}

static TrimGuest guest(void) {
        return (TrimGuest){.memory = 1024 * MIB, .total = 1000 * MIB, .available = 800 * MIB};
}

static void test_names_are_android_s(void **state) {
        TrimLevel level = TRIM_NONE;

        assert_int_equal(trim_level_from_string("critical", &level), 0);
        assert_int_equal(level, TRIM_CRITICAL);
        assert_int_equal(trim_level_from_string("low", &level), 0);
        assert_int_equal(level, TRIM_LOW);
        assert_int_equal(trim_level_from_string("moderate", &level), 0);
        assert_int_equal(level, TRIM_MODERATE);
        assert_int_equal(trim_level_from_string("none", &level), -EINVAL);
        assert_int_equal(trim_level_from_string("", &level), -EINVAL);
        assert_int_equal(level, TRIM_MODERATE);
        assert_string_equal(trim_level_to_string(TRIM_NONE), "none");
}

static void test_pressure_that_goes_on_takes_a_step_each_interval(void **state) {
        TrimPolicy p = policy();

        assert_true(trim_policy_press(&p, 100 * SEC, 0));
        assert_int_equal(p.level, TRIM_MODERATE);
        assert_false(trim_policy_press(&p, 101 * SEC, 0));
        assert_false(trim_policy_press(&p, 122 * SEC - 1, 0));
        assert_int_equal(p.level, TRIM_MODERATE);
        assert_true(trim_policy_press(&p, 122 * SEC, 0));
        assert_int_equal(p.level, TRIM_LOW);
        assert_true(trim_policy_press(&p, 150 * SEC, 0));
        assert_int_equal(p.level, TRIM_CRITICAL);
        assert_true(trim_policy_press(&p, 180 * SEC, 0)); /* for new VMs */
        assert_int_equal(p.level, TRIM_CRITICAL);
}

static void test_full_pressure_does_not_wait_its_turn_once(void **state) {
        TrimPolicy p = policy();

        assert_true(trim_policy_press(&p, 100 * SEC, 0));
        assert_false(trim_policy_press(&p, 101 * SEC, 99));
        assert_true(trim_policy_press(&p, 101 * SEC, 100));
        assert_int_equal(p.level, TRIM_CRITICAL);
        assert_false(trim_policy_press(&p, 102 * SEC, 5000));
        assert_true(trim_policy_press(&p, 123 * SEC, 5000));
}

static void test_the_level_falls_only_far_below_of_what_raised_it(void **state) {
        TrimPolicy p = policy();

        assert_false(trim_policy_relax(&p, 100 * SEC, 0));
        assert_true(trim_policy_press(&p, 100 * SEC, 9000));
        assert_false(trim_policy_relax(&p, 122 * SEC - 1, 0));
        assert_false(trim_policy_relax(&p, 122 * SEC, 100));
        assert_true(trim_policy_relax(&p, 122 * SEC, 99));
        assert_int_equal(p.level, TRIM_LOW);
        assert_false(trim_policy_relax(&p, 123 * SEC, 0));
        assert_false(trim_policy_press(&p, 123 * SEC, 0));  /* no to and fro */
        assert_true(trim_policy_press(&p, 124 * SEC, 100)); /* but for an emergency */
        assert_int_equal(p.level, TRIM_CRITICAL);
        assert_true(trim_policy_relax(&p, 200 * SEC, 0));
        assert_true(trim_policy_relax(&p, 300 * SEC, 0));
        assert_true(trim_policy_relax(&p, 400 * SEC, 0));
        assert_int_equal(p.level, TRIM_NONE);
        assert_false(trim_policy_relax(&p, 500 * SEC, 0));
}

static void test_a_level_is_a_part_of_what_the_guest_reports(void **state) {
        TrimGuest g = guest();
        uint64_t bytes = 7;

        assert_int_equal(trim_to_level(&g, TRIM_CRITICAL, &bytes), 0);
        assert_int_equal(bytes, 500 * MIB);
        assert_int_equal(trim_to_level(&g, TRIM_LOW, &bytes), 0);
        assert_int_equal(bytes, 300 * MIB);
        assert_int_equal(trim_to_level(&g, TRIM_MODERATE, &bytes), 0);
        assert_int_equal(bytes, 100 * MIB);
        g.total = TRIM_UNKNOWN;
        assert_int_equal(trim_to_level(&g, TRIM_LOW, &bytes), -EOPNOTSUPP);
        g.total = 0;
        assert_int_equal(trim_to_level(&g, TRIM_LOW, &bytes), -EOPNOTSUPP);
        assert_int_equal(bytes, 100 * MIB);
}

static void test_a_guest_that_lies_is_believed_up_to_its_memory(void **state) {
        TrimGuest g = guest();
        uint64_t bytes;

        g.total = UINT64_MAX - 1;
        g.available = UINT64_MAX - 1;
        g.given = UINT64_MAX;
        assert_int_equal(trim_to_level(&g, TRIM_CRITICAL, &bytes), 0);
        assert_true(bytes <= g.memory / 2);
        assert_int_equal(trim_by_pressure(&g, TRIM_CRITICAL, true, &bytes), 0);
        assert_true(bytes <= g.memory / 2);
}

static void test_pressure_takes_what_can_be_spared_and_never_gives_back(void **state) {
        TrimGuest g = guest();
        uint64_t bytes;

        assert_int_equal(trim_by_pressure(&g, TRIM_CRITICAL, true, &bytes), 0);
        assert_int_equal(bytes, 500 * MIB);
        g.available = 132 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_CRITICAL, true, &bytes), 0);
        assert_int_equal(bytes, 100 * MIB);
        g.given = g.asked = 200 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_CRITICAL, true, &bytes), 0);
        assert_int_equal(bytes, 300 * MIB);
        g.available = 3 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_CRITICAL, true, &bytes), 0);
        assert_int_equal(bytes, 200 * MIB);
        g.available = TRIM_UNKNOWN;
        assert_int_equal(trim_by_pressure(&g, TRIM_LOW, true, &bytes), -EOPNOTSUPP);
}

static void test_a_level_that_falls_asks_nobody_for_more(void **state) {
        TrimGuest g = guest();
        uint64_t bytes;

        g.given = g.asked = 500 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_LOW, false, &bytes), 0);
        assert_int_equal(bytes, 300 * MIB);
        g.given = g.asked = 50 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_LOW, false, &bytes), 0);
        assert_int_equal(bytes, 50 * MIB);
}

static void test_the_owner_s_choice_is_the_least(void **state) {
        TrimGuest g = guest();
        uint64_t bytes;

        g.given = g.asked = g.own_choice = 200 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_MODERATE, true, &bytes), 0);
        assert_int_equal(bytes, 200 * MIB);
        assert_int_equal(trim_by_pressure(&g, TRIM_LOW, true, &bytes), 0);
        assert_int_equal(bytes, 300 * MIB);
        g.given = g.asked = 300 * MIB;
        assert_int_equal(trim_by_pressure(&g, TRIM_MODERATE, false, &bytes), 0);
        assert_int_equal(bytes, 200 * MIB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_are_android_s),
                cmocka_unit_test(test_pressure_that_goes_on_takes_a_step_each_interval),
                cmocka_unit_test(test_full_pressure_does_not_wait_its_turn_once),
                cmocka_unit_test(test_the_level_falls_only_far_below_of_what_raised_it),
                cmocka_unit_test(test_a_level_is_a_part_of_what_the_guest_reports),
                cmocka_unit_test(test_a_guest_that_lies_is_believed_up_to_its_memory),
                cmocka_unit_test(test_pressure_takes_what_can_be_spared_and_never_gives_back),
                cmocka_unit_test(test_a_level_that_falls_asks_nobody_for_more),
                cmocka_unit_test(test_the_owner_s_choice_is_the_least),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
