/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/le.h"

static void test_ranges_are_checked_without_wrapping(void **state) {
        assert_true(range_within(0, 10, 10));
        assert_true(range_within(10, 0, 10));
        assert_false(range_within(11, 0, 10));
        assert_false(range_within(5, 6, 10));
        assert_false(range_within(UINT64_MAX, 2, 10));
        assert_false(range_within(1, UINT64_MAX, 10));
}

static void test_sums_that_do_not_fit_are_refused(void **state) {
        uint32_t sum = 1;

        assert_true(ADD_CHECKED(UINT32_MAX - 1, 1u, &sum));
        assert_int_equal(sum, UINT32_MAX);
        assert_false(ADD_CHECKED(UINT32_MAX, 1u, &sum));
}

static void test_loads_and_stores_are_little_endian_at_any_alignment(void **state) {
        uint8_t bytes[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

        assert_int_equal(le16_load(bytes + 1), 0x0201);
        assert_int_equal(le32_load(bytes + 1), 0x04030201);
        assert_true(le64_load(bytes + 1) == UINT64_C(0x0807060504030201));
        le32_store(bytes + 1, 0xaabbccdd);
        assert_int_equal(bytes[1], 0xdd);
        assert_int_equal(bytes[4], 0xaa);
        assert_int_equal(bytes[5], 5);
}

static void test_alignment_rounds_both_ways(void **state) {
        assert_int_equal(align_up(1, 4096), 4096);
        assert_int_equal(align_up(4096, 4096), 4096);
        assert_int_equal(align_down(8191, 4096), 4096);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranges_are_checked_without_wrapping),
                cmocka_unit_test(test_sums_that_do_not_fit_are_refused),
                cmocka_unit_test(test_loads_and_stores_are_little_endian_at_any_alignment),
                cmocka_unit_test(test_alignment_rounds_both_ways),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
