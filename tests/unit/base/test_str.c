/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

static void test_numbers_are_parsed_strictly(void **state) {
        uint64_t v = 7;

        assert_int_equal(parse_u64("18446744073709551615", &v), 0);
        assert_true(v == UINT64_MAX);
        assert_int_equal(parse_u64("0x10", &v), 0);
        assert_int_equal(v, 16);
        assert_int_equal(parse_u64("18446744073709551616", &v), -ERANGE);
        assert_int_equal(parse_u64("", &v), -EINVAL);
        assert_int_equal(parse_u64(" 1", &v), -EINVAL);
        assert_int_equal(parse_u64("-1", &v), -EINVAL);
        assert_int_equal(parse_u64("1k", &v), -EINVAL);
        assert_int_equal(v, 16);
}

static void test_strbuf_grows_and_finishes_with_a_terminator(void **state) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(freep) char *text = NULL;

        strbuf_append(&buf, "a");
        for (unsigned i = 0; i < 1000; i++)
                strbuf_printf(&buf, "%u,", i);
        assert_int_equal(strbuf_finish(&buf, &text), 0);
        assert_memory_equal(text, "a0,1,2,", 7);
        assert_null(buf.data);
}

static void test_strvec_is_null_terminated(void **state) {
        _cleanup_(strvec_deinit) StrVec vec = {0};

        for (unsigned i = 0; i < 40; i++)
                assert_int_equal(strvec_addf(&vec, "%u", i), 0);
        assert_int_equal(vec.n, 40);
        assert_string_equal(vec.items[39], "39");
        assert_null(vec.items[40]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_are_parsed_strictly),
                cmocka_unit_test(test_strbuf_grows_and_finishes_with_a_terminator),
                cmocka_unit_test(test_strvec_is_null_terminated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
