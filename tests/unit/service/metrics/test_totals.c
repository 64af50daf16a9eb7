/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/metrics/totals.h"

static void test_every_reason_has_a_place_of_its_own(void **state) {
        for (unsigned i = 0; i < DEATH_REASON_COUNT; i++)
                assert_int_equal(death_reason_index(death_reason_at(i)), i);
        assert_int_equal(death_reason_index((DeathReason) 9), death_reason_index(DEATH_UNKNOWN));
}

static void test_an_end_that_was_no_run_has_no_run_time(void **state) {
        DeathRecord failed = {.reason = DEATH_START_FAILED, .exit_status = -1};
        DeathRecord shut_down = {.reason = DEATH_SHUTDOWN, .exited = true, .run_time_usec = 5};
        DeathRecord crashed = {.reason = DEATH_VMM_CRASH, .exit_signal = 11, .run_time_usec = 7};
        Totals totals;

        totals_init(&totals);
        totals_count_death(&totals, &failed);
        totals_count_death(&totals, &shut_down);
        totals_count_death(&totals, &crashed);
        assert_int_equal(totals.deaths[death_reason_index(DEATH_START_FAILED)], 1);
        assert_int_equal(totals.deaths[death_reason_index(DEATH_SHUTDOWN)], 1);
        assert_int_equal(totals.deaths[death_reason_index(DEATH_VMM_CRASH)], 1);
        assert_int_equal(totals.run.n, 2);
        assert_int_equal(totals.run.sum_usec, 12);
}

static void test_made_and_refused_vms_are_told_apart(void **state) {
        Totals totals;

        totals_init(&totals);
        totals_count_creation(&totals, true);
        totals_count_creation(&totals, false);
        totals_count_creation(&totals, false);
        assert_int_equal(totals.created, 1);
        assert_int_equal(totals.refused, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_reason_has_a_place_of_its_own),
                cmocka_unit_test(test_an_end_that_was_no_run_has_no_run_time),
                cmocka_unit_test(test_made_and_refused_vms_are_told_apart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
