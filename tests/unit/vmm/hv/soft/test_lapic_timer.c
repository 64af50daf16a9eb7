/* SPDX-License-Identifier: Apache-2.0 */
/* The APIC timer where the host keeps its processor waiting; test_lapic.c has what its registers do otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/lapic_timer.h"

#define MSEC UINT64_C(1000000)
#define DIVIDE_BY_1 0xbu

static void start(LapicTimer *t, uint32_t mode, uint64_t count) {
        lapic_timer_clear(t);
        lapic_timer_set_divide(t, 0, DIVIDE_BY_1);
        lapic_timer_set_mode(t, mode);
        lapic_timer_set_count(t, 0, (uint32_t) count);
}

/* Looks at @t each 100 us from @from on. Return: when it ran out. */
static uint64_t runs_out(LapicTimer *t, uint64_t from) {
        while (!lapic_timer_look(t, from, false))
                from += MSEC / 10;
        return from;
}

static void test_count_shows_each_half_to_a_processor_that_was_kept_waiting(void **state) {
        LapicTimer t;

        start(&t, 0, 10 * MSEC);
        assert_false(lapic_timer_look(&t, 4 * MSEC, false));
        assert_int_equal(lapic_timer_count(&t, 4 * MSEC), 6 * MSEC);
        assert_true(lapic_timer_jumped(&t, 34 * MSEC));
        assert_false(lapic_timer_look(&t, 34 * MSEC, true));
        assert_int_equal(lapic_timer_count(&t, 34 * MSEC), 6 * MSEC - TIMER_STEP_NSEC);
        lapic_timer_set_mode(&t, LVT_TIMER_PERIODIC);
        assert_false(lapic_timer_look(&t, 34 * MSEC + 1, false));
        assert_int_equal(lapic_timer_count(&t, 34 * MSEC + 1), 6 * MSEC - 2 * TIMER_STEP_NSEC - 1);
}

static void test_timer_is_never_early_and_catches_up(void **state) {
        LapicTimer t;
        uint64_t at;

        start(&t, 0, 10 * MSEC);
        assert_false(lapic_timer_look(&t, MSEC, false));
        assert_false(lapic_timer_look(&t, 6 * MSEC, true));
        at = runs_out(&t, 6 * MSEC);
        assert_true(at >= 10 * MSEC && at < 10 * MSEC + 2 * TIMER_STEP_NSEC);

        start(&t, 0, 10 * MSEC);
        assert_false(lapic_timer_look(&t, MSEC, false));
        assert_false(lapic_timer_look(&t, 41 * MSEC, true));
        at = runs_out(&t, 41 * MSEC);
        assert_true(at > 41 * MSEC && at < 45 * MSEC);
}

static void test_gap_that_is_not_the_hosts_is_no_excuse(void **state) {
        LapicTimer t;

        start(&t, 0, 10 * MSEC);
        assert_false(lapic_timer_look(&t, MSEC, false));
        assert_true(lapic_timer_look(&t, 10 * MSEC, false));
        assert_int_equal(lapic_timer_sleep(&t), UINT64_MAX);
}

static void test_arrears_have_a_limit(void **state) {
        LapicTimer t;

        start(&t, 0, 10 * MSEC);
        assert_true(lapic_timer_look(&t, 10 * MSEC + TIMER_HELD_MAX_NSEC, true));
}

static void test_sleep_and_new_counts_begin_without_arrears(void **state) {
        LapicTimer t;

        start(&t, 0, 10 * MSEC);
        assert_false(lapic_timer_look(&t, MSEC, false));
        assert_false(lapic_timer_look(&t, 8 * MSEC, true));
        assert_int_equal(lapic_timer_sleep(&t), 10 * MSEC);
        assert_false(lapic_timer_jumped(&t, 30 * MSEC));
        assert_true(lapic_timer_look(&t, 30 * MSEC, true));

        start(&t, 0, 10 * MSEC);
        assert_false(lapic_timer_look(&t, MSEC, false));
        assert_false(lapic_timer_look(&t, 8 * MSEC, true));
        lapic_timer_set_count(&t, 9 * MSEC, (uint32_t) MSEC);
        assert_int_equal(runs_out(&t, 9 * MSEC), 10 * MSEC);
}

static void test_missed_periods_come_one_by_one_until_the_limit(void **state) {
        LapicTimer t;
        unsigned ticks = 0;

        start(&t, LVT_TIMER_PERIODIC, 10 * MSEC);
        assert_false(lapic_timer_look(&t, MSEC, false));
        ticks += lapic_timer_look(&t, 51 * MSEC, true);
        for (uint64_t now = 51 * MSEC; now <= 70 * MSEC; now += MSEC / 10)
                ticks += lapic_timer_look(&t, now, false);
        assert_int_equal(ticks, 7);
        assert_false(lapic_timer_look(&t, 71 * MSEC, false));
        assert_int_equal(lapic_timer_count(&t, 71 * MSEC), 9 * MSEC);
}

static void test_deadline_knows_no_arrears(void **state) {
        LapicTimer t;

        lapic_timer_clear(&t);
        lapic_timer_set_mode(&t, LVT_TIMER_DEADLINE);
        assert_true(lapic_timer_set_deadline(&t, 0, 0, 10 * MSEC));
        assert_false(lapic_timer_look(&t, MSEC, false));
        assert_false(lapic_timer_look(&t, 10 * MSEC - 1, true));
        assert_true(lapic_timer_look(&t, 10 * MSEC, true));
        assert_int_equal(t.deadline, 0);
}

static void test_a_count_goes_on_where_it_was(void **state) {
        LapicTimer t;

        start(&t, 0, 10 * MSEC);
        assert_int_equal(lapic_timer_left(&t, 4 * MSEC), 6 * MSEC);
        start(&t, 0, 10 * MSEC);
        lapic_timer_go_on(&t, 0, 6 * MSEC);
        assert_false(lapic_timer_look(&t, 6 * MSEC - 1, false));
        assert_true(lapic_timer_look(&t, 6 * MSEC, false));

        start(&t, LVT_TIMER_PERIODIC, 10 * MSEC);
        lapic_timer_go_on(&t, 0, MSEC);
        assert_true(lapic_timer_look(&t, MSEC, false));
        assert_false(lapic_timer_look(&t, 11 * MSEC - 1, false));
        assert_true(lapic_timer_look(&t, 11 * MSEC, false));
}

static void test_a_count_that_has_ended_stays_so(void **state) {
        LapicTimer t;

        start(&t, 0, 10 * MSEC);
        assert_true(lapic_timer_look(&t, 10 * MSEC, false));
        assert_int_equal(lapic_timer_left(&t, 10 * MSEC), 0);
        start(&t, 0, 10 * MSEC);
        lapic_timer_go_on(&t, 0, 0);
        assert_false(lapic_timer_look(&t, 100 * MSEC, false));
}

static void test_what_is_left_of_the_last_count_is_one(void **state) {
        LapicTimer t;

        lapic_timer_clear(&t);
        lapic_timer_set_divide(&t, 0, 0x3); /* by 16 */
        lapic_timer_set_count(&t, 0, 1);
        assert_int_equal(lapic_timer_count(&t, 10), 0);
        assert_int_equal(lapic_timer_left(&t, 10), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_count_shows_each_half_to_a_processor_that_was_kept_waiting),
                cmocka_unit_test(test_timer_is_never_early_and_catches_up),
                cmocka_unit_test(test_gap_that_is_not_the_hosts_is_no_excuse),
                cmocka_unit_test(test_arrears_have_a_limit),
                cmocka_unit_test(test_sleep_and_new_counts_begin_without_arrears),
                cmocka_unit_test(test_missed_periods_come_one_by_one_until_the_limit),
                cmocka_unit_test(test_deadline_knows_no_arrears),
                cmocka_unit_test(test_a_count_goes_on_where_it_was),
                cmocka_unit_test(test_a_count_that_has_ended_stays_so),
                cmocka_unit_test(test_what_is_left_of_the_last_count_is_one),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
