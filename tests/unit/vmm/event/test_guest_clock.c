/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "vmm/event/guest_clock.h"

typedef struct Fixture {
        Loop *loop;
        GuestClock *clock;
        unsigned n_fired;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){0};
        assert_int_equal(loop_new(&f.loop), 0);
        assert_int_equal(guest_clock_new(f.loop, &f.clock), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        guest_clock_free(f->clock);
        loop_free(f->loop);
        return 0;
}

static void fired(void *userdata) {
        Fixture *f = userdata;

        f->n_fired++;
        loop_exit(f->loop);
}

static void test_the_clock_follows_the_hosts_clocks(void **state) {
        Fixture *f = *state;
        uint64_t before = clock_monotonic_nsec(), now = guest_clock_now_nsec(f->clock);
        usec_t wall_before = clock_realtime_usec(), wall = guest_clock_wall_usec(f->clock);

        assert_in_range(now, before, clock_monotonic_nsec());
        assert_in_range(wall, wall_before, clock_realtime_usec());
}

static void test_an_alarm_fires_when_its_time_has_come_and_only_once(void **state) {
        Fixture *f = *state;
        _cleanup_(guest_timer_freep) GuestTimer *timer = NULL;
        uint64_t due = clock_monotonic_nsec() + 2 * USEC_PER_MSEC * NSEC_PER_USEC;

        assert_int_equal(guest_timer_new(f->clock, fired, f, &timer), 0);
        guest_timer_arm(timer, due);
        assert_int_equal(loop_run(f->loop), 0);
        assert_true(clock_monotonic_nsec() >= due);
        assert_int_equal(f->n_fired, 1);
        guest_timer_arm(timer, 0); /* long past, but not off */
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->n_fired, 2);
}

static void test_a_disarmed_alarm_stays_silent(void **state) {
        Fixture *f = *state;
        Fixture other = {.loop = f->loop};
        _cleanup_(guest_timer_freep) GuestTimer *silent = NULL, *timer = NULL;

        assert_int_equal(guest_timer_new(f->clock, fired, &other, &silent), 0);
        assert_int_equal(guest_timer_new(f->clock, fired, f, &timer), 0);
        guest_timer_arm(silent, 1);
        guest_timer_arm(silent, GUEST_TIMER_OFF);
        guest_timer_arm(timer, clock_monotonic_nsec() + NSEC_PER_USEC);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(other.n_fired, 0);
        assert_int_equal(f->n_fired, 1);
}

static void test_a_paused_clock_stands_still_and_goes_on_from_there(void **state) {
        Fixture *f = *state;
        uint64_t stood, before, went;

        guest_clock_set_paused(f->clock, true);
        stood = guest_clock_now_nsec(f->clock);
        before = clock_monotonic_nsec();
        while (clock_monotonic_nsec() == before)
                ;
        assert_true(guest_clock_now_nsec(f->clock) == stood);
        guest_clock_set_paused(f->clock, true); /* twice is once */
        assert_true(guest_clock_now_nsec(f->clock) == stood);
        guest_clock_set_paused(f->clock, false);
        went = guest_clock_now_nsec(f->clock) -
               stood; /* before the host's clock is looked at again */
        assert_in_range(went, 0, clock_monotonic_nsec() - before - 1);
}

static void test_alarms_wait_for_the_end_of_a_pause(void **state) {
        Fixture *f = *state;
        Fixture other = {.loop = f->loop};
        _cleanup_(guest_timer_freep) GuestTimer *early = NULL, *late = NULL;
        LoopSource *host;

        assert_int_equal(guest_timer_new(f->clock, fired, &other, &early), 0);
        assert_int_equal(guest_timer_new(f->clock, fired, &other, &late), 0);
        assert_int_equal(loop_add_timer(f->loop, fired, f, &host), 0);
        guest_timer_arm(early, guest_clock_now_nsec(f->clock) + 1);
        guest_clock_set_paused(f->clock, true);
        guest_timer_arm(late, 1); /* armed in the pause, long past */
        assert_int_equal(loop_set_timer(host, clock_monotonic_nsec() + USEC_PER_MSEC), 0);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->n_fired, 1);
        assert_int_equal(other.n_fired, 0);
        guest_clock_set_paused(f->clock, false);
        while (other.n_fired < 2)
                assert_int_equal(loop_run(f->loop), 0);
        loop_remove(host);
}

/* Neither before the host's clock began nor far behind it is anything special. */
static void test_a_clock_that_was_set_goes_on_from_there(void **state) {
        const uint64_t times[] = {1000, clock_monotonic_nsec() + 3600 * NSEC_PER_SEC};
        Fixture *f = *state;
        _cleanup_(guest_timer_freep) GuestTimer *timer = NULL;

        assert_int_equal(guest_timer_new(f->clock, fired, f, &timer), 0);
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                f->n_fired = 0;
                guest_clock_set_paused(f->clock, true);
                guest_clock_set_now_nsec(f->clock, times[i]);
                assert_true(guest_clock_now_nsec(f->clock) == times[i]);
                guest_timer_arm(timer, times[i] + 2 * USEC_PER_MSEC * NSEC_PER_USEC);
                guest_clock_set_paused(f->clock, false);
                assert_true(guest_clock_now_nsec(f->clock) >= times[i]);
                assert_int_equal(loop_run(f->loop), 0);
                assert_true(guest_clock_now_nsec(f->clock) >=
                            times[i] + 2 * USEC_PER_MSEC * NSEC_PER_USEC);
                assert_int_equal(f->n_fired, 1);
        }
}

static void test_only_a_clock_that_stands_still_can_be_set(void **state) {
        Fixture *f = *state;

        guest_clock_set_now_nsec(f->clock, 5);
        assert_true(guest_clock_now_nsec(f->clock) > 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_the_clock_follows_the_hosts_clocks, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_an_alarm_fires_when_its_time_has_come_and_only_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_disarmed_alarm_stays_silent, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_paused_clock_stands_still_and_goes_on_from_there, setup, teardown),
                cmocka_unit_test_setup_teardown(test_alarms_wait_for_the_end_of_a_pause, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_clock_that_was_set_goes_on_from_there, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_only_a_clock_that_stands_still_can_be_set,
                                                setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
