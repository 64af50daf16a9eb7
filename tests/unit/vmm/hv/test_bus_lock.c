/* SPDX-License-Identifier: Apache-2.0 */
/* How long who makes bus locks rests, by a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "vmm/hv/bus_lock.h"

#define START (UINT64_C(1000) * NSEC_PER_SEC)

static int setup(void **state) {
        static BusLockLimit limit;

        bus_lock_limit_init(&limit, 3);
        *state = &limit;
        return 0;
}

static int teardown(void **state) {
        bus_lock_limit_deinit(*state);
        return 0;
}

static void test_a_limit_of_none_is_off(void **state) {
        BusLockLimit limit;

        bus_lock_limit_init(&limit, 0);
        assert_false(bus_lock_limit_is_on(&limit));
        assert_true(bus_lock_limit_is_on(*state));
        bus_lock_limit_deinit(&limit);
}

static void test_who_makes_the_last_of_a_second_rests_to_its_end(void **state) {
        BusLockLimit *limit = *state;

        assert_int_equal(bus_lock_limit_add(limit, START, 1), 0);
        assert_int_equal(bus_lock_limit_add(limit, START + 500, 1), 0);
        assert_int_equal(bus_lock_limit_add(limit, START + 900, 1), START + NSEC_PER_SEC);
        assert_int_equal(bus_lock_limit_add(limit, START + NSEC_PER_SEC, 1), 0);
}

static void test_a_second_begins_with_a_bus_lock(void **state) {
        BusLockLimit *limit = *state;

        assert_int_equal(bus_lock_limit_add(limit, START, 2), 0);
        /* long after; what was made then does not count, nor is the pause a credit */
        assert_int_equal(bus_lock_limit_add(limit, 2 * START, 2), 0);
        assert_int_equal(bus_lock_limit_add(limit, 2 * START + 7, 1), 2 * START + NSEC_PER_SEC);
}

static void test_more_than_allowed_makes_the_second_longer(void **state) {
        BusLockLimit *limit = *state;

        assert_int_equal(bus_lock_limit_add(limit, START, 7), START + 2 * NSEC_PER_SEC);
        /* others were not resting, and share what is left */
        assert_int_equal(bus_lock_limit_add(limit, START + 1, 1), START + 2 * NSEC_PER_SEC);
        assert_int_equal(bus_lock_limit_add(limit, START + 2, 1), START + 3 * NSEC_PER_SEC);
        assert_int_equal(bus_lock_limit_add(limit, START + 3 * NSEC_PER_SEC, 1), 0);
}

/* One vCPU that does as it is told. */
static void test_a_loop_takes_time_in_proportion(void **state) {
        uint64_t now = START;

        for (unsigned i = 0; i < 30; i++) {
                uint64_t until = bus_lock_limit_add(*state, now, 1);

                if (until > now)
                        now = until;
        }
        assert_int_equal(now, START + 10 * NSEC_PER_SEC);
}

static void test_one_a_second_and_the_most(void **state) {
        BusLockLimit *limit = *state;

        limit->allowed = 1;
        assert_int_equal(bus_lock_limit_add(limit, START, 1), START + NSEC_PER_SEC);
        limit->end_nsec = 0;
        limit->allowed = UINT32_MAX;
        assert_int_equal(bus_lock_limit_add(limit, START, UINT32_MAX - 1), 0);
        assert_int_equal(bus_lock_limit_add(limit, START, 1), START + NSEC_PER_SEC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_limit_of_none_is_off),
                TEST(test_who_makes_the_last_of_a_second_rests_to_its_end),
                TEST(test_a_second_begins_with_a_bus_lock),
                TEST(test_more_than_allowed_makes_the_second_longer),
                TEST(test_a_loop_takes_time_in_proportion),
                TEST(test_one_a_second_and_the_most),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
