/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/stop_ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW ((usec_t) 1000)
#define STEP(ladder, expected) assert_int_equal((ladder).step, expected)

static void test_each_means_has_its_share_of_the_time(void **state) {
        StopLadder ladder;

        stop_ladder_begin(&ladder, NOW, 100);
        STEP(ladder, STOP_STEP_POWER_BUTTON);
        assert_int_equal(ladder.due_usec, NOW + 80);
        stop_ladder_advance(&ladder, NOW + 80);
        STEP(ladder, STOP_STEP_VMM_STOP);
        assert_int_equal(ladder.due_usec, NOW + 90);
        stop_ladder_advance(&ladder, NOW + 90);
        STEP(ladder, STOP_STEP_SIGTERM);
        assert_int_equal(ladder.due_usec, NOW + 100);
        stop_ladder_advance(&ladder, NOW + 100);
        STEP(ladder, STOP_STEP_SIGKILL);
        stop_ladder_advance(&ladder, NOW + 200);
        STEP(ladder, STOP_STEP_SIGKILL);
}

static void test_a_means_that_is_refused_leaves_its_time_to_the_others(void **state) {
        StopLadder ladder;

        stop_ladder_begin(&ladder, NOW, 100);
        stop_ladder_advance(&ladder, NOW);
        STEP(ladder, STOP_STEP_VMM_STOP);
        assert_int_equal(ladder.due_usec, NOW + 50);
        stop_ladder_advance(&ladder, NOW);
        assert_int_equal(ladder.due_usec, NOW + 100);
}

static void test_without_time_there_is_one_means(void **state) {
        StopLadder ladder;

        stop_ladder_begin(&ladder, NOW, 0);
        STEP(ladder, STOP_STEP_SIGKILL);
}

static void test_the_greater_hurry_wins(void **state) {
        StopLadder ladder;

        stop_ladder_begin(&ladder, NOW, 1000);
        stop_ladder_hurry(&ladder, NOW, 2000);
        assert_int_equal(ladder.deadline_usec, NOW + 1000);
        stop_ladder_hurry(&ladder, NOW + 500, 100);
        STEP(ladder, STOP_STEP_POWER_BUTTON);
        assert_int_equal(ladder.deadline_usec, NOW + 600);
        assert_int_equal(ladder.due_usec, NOW + 580);
        stop_ladder_hurry(&ladder, NOW + 500, 0);
        STEP(ladder, STOP_STEP_SIGKILL);
}

static void test_a_step_that_comes_too_late_is_the_last(void **state) {
        StopLadder ladder;

        stop_ladder_begin(&ladder, NOW, 100);
        stop_ladder_advance(&ladder, NOW + 101);
        STEP(ladder, STOP_STEP_SIGKILL);
}

static void test_a_ladder_goes_on_after_a_restart(void **state) {
        StopLadder ladder = {.step = STOP_STEP_VMM_STOP};

        stop_ladder_resume(&ladder, NOW, NOW + 20);
        STEP(ladder, STOP_STEP_VMM_STOP);
        assert_int_equal(ladder.due_usec, NOW + 10);
        stop_ladder_resume(&ladder, NOW + 30, NOW + 20);
        STEP(ladder, STOP_STEP_SIGKILL);
        ladder = (StopLadder){0};
        stop_ladder_resume(&ladder, NOW, 0);
        STEP(ladder, STOP_STEP_NONE);
}

static void test_all_the_time_there_is_does_not_overflow(void **state) {
        StopLadder ladder;

        stop_ladder_begin(&ladder, NOW, UINT64_MAX);
        STEP(ladder, STOP_STEP_POWER_BUTTON);
        assert_true(ladder.due_usec > NOW);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_means_has_its_share_of_the_time),
                cmocka_unit_test(test_a_means_that_is_refused_leaves_its_time_to_the_others),
                cmocka_unit_test(test_without_time_there_is_one_means),
                cmocka_unit_test(test_the_greater_hurry_wins),
                cmocka_unit_test(test_a_step_that_comes_too_late_is_the_last),
                cmocka_unit_test(test_a_ladder_goes_on_after_a_restart),
                cmocka_unit_test(test_all_the_time_there_is_does_not_overflow),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
