/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ratelimit.h"

static void test_a_burst_passes_and_the_rest_of_the_window_does_not(void **state) {
        RateLimit limit = {.interval_usec = 1000, .burst = 2};

        assert_true(ratelimit_allow(&limit, 5000));
        assert_true(ratelimit_allow(&limit, 5001));
        assert_false(ratelimit_allow(&limit, 5002));
        assert_false(ratelimit_allow(&limit, 5999));
        assert_int_equal(limit.dropped, 2);
}

static void test_a_new_window_starts_with_a_full_budget(void **state) {
        RateLimit limit = {.interval_usec = 1000, .burst = 1};

        assert_true(ratelimit_allow(&limit, 5000));
        assert_false(ratelimit_allow(&limit, 5500));
        assert_true(ratelimit_allow(&limit, 6000));
        assert_int_equal(limit.dropped, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_burst_passes_and_the_rest_of_the_window_does_not),
                cmocka_unit_test(test_a_new_window_starts_with_a_full_budget),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
