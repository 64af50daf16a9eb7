/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/resource.h>

#include "service/fd_budget.h"

static void set_limit(rlim_t n) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = n;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_the_last_descriptors_are_for_messages(void **state) {
        set_limit(4096);
        assert_int_equal(fd_budget_check(3), 0);
        assert_int_equal(fd_budget_check(4096 - 513), 0);
        assert_int_equal(fd_budget_check(4096 - 512), -EMFILE);
}

static void test_half_of_a_small_limit_is_left(void **state) {
        set_limit(64);
        assert_int_equal(fd_budget_check(31), 0);
        assert_int_equal(fd_budget_check(32), -EMFILE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_last_descriptors_are_for_messages),
                cmocka_unit_test(test_half_of_a_small_limit_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
