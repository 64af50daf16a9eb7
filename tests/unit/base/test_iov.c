/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/iov.h"

static void test_ranges_cross_buffers_and_stop_at_the_end(void **state) {
        char a[] = "abc", b[] = "", c[] = "defgh", out[16] = "";
        struct iovec iov[] = {{a, 3}, {b, 0}, {c, 5}};

        assert_int_equal(iov_total(iov, 3), 8);
        assert_int_equal(iov_gather(iov, 3, 2, out, 3), 3);
        assert_memory_equal(out, "cde", 4);
        assert_int_equal(iov_gather(iov, 3, 6, out, 10), 2);
        assert_memory_equal(out, "ghe", 3);
        assert_int_equal(iov_gather(iov, 3, 8, out, 1), 0);
        assert_int_equal(iov_gather(iov, 3, UINT64_MAX, out, 1), 0);
}

static void test_scatter_and_zero_touch_only_their_range(void **state) {
        char a[] = "abc", b[] = "defgh";
        struct iovec iov[] = {{a, 3}, {b, 5}};

        assert_int_equal(iov_scatter(iov, 2, 1, "XYZ", 3), 3);
        assert_string_equal(a, "aXY");
        assert_string_equal(b, "Zefgh");
        assert_int_equal(iov_zero(iov, 2, 7, 100), 1);
        assert_memory_equal(b, "Zefg\0", 5);
}

static void test_slice_leaves_out_empty_buffers_and_may_be_in_place(void **state) {
        char a[4], b[4], c[4];
        struct iovec iov[] = {{a, 4}, {b, 4}, {c, 4}}, out[3];

        assert_int_equal(iov_slice(iov, 3, 4, 6, out), 2);
        assert_ptr_equal(out[0].iov_base, b);
        assert_int_equal(out[0].iov_len, 4);
        assert_ptr_equal(out[1].iov_base, c);
        assert_int_equal(out[1].iov_len, 2);
        assert_int_equal(iov_slice(iov, 3, 0, 0, out), 0);
        assert_int_equal(iov_slice(iov, 3, 5, UINT64_MAX, iov), 2);
        assert_ptr_equal(iov[0].iov_base, b + 1);
        assert_ptr_equal(iov[1].iov_base, c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranges_cross_buffers_and_stop_at_the_end),
                cmocka_unit_test(test_scatter_and_zero_touch_only_their_range),
                cmocka_unit_test(test_slice_leaves_out_empty_buffers_and_may_be_in_place),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
