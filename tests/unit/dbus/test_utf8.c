/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dbus/client/utf8.h"

static void expect_valid(const char *bytes, const char *expected) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        utf8_append_valid(&out, bytes, strlen(bytes));
        assert_string_equal(out.data, expected);
}

static void test_valid_text_is_kept(void **state) {
        expect_valid("a\n\t~", "a\n\t~");
        expect_valid("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
        expect_valid("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

static void test_each_invalid_byte_becomes_a_replacement_character(void **state) {
        expect_valid("a\xff"
                     "b",
                     "a\xef\xbf\xbd"
                     "b");
        expect_valid("\x80", "\xef\xbf\xbd");
        expect_valid("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");                 /* overlong */
        expect_valid("\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* overlong */
        expect_valid("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* surrogate */
        expect_valid("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        expect_valid("x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd"); /* cut short */
}

static void test_nul_is_no_text(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        utf8_append_valid(&out, "a\0b", 3);
        assert_string_equal(out.data, "a\xef\xbf\xbd"
                                      "b");
}

static void test_nothing_that_moves_a_cursor_is_printed(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        utf8_append_printable(&out, "a\x1b[31mb\x7f\n\xc2\x9b"
                                    "c\xc2\xa0\xc3\xa4");
        assert_string_equal(out.data, "a?[31mb???c\xc2\xa0\xc3\xa4");
}

static void test_columns_count_characters_not_bytes(void **state) {
        assert_int_equal(utf8_columns(""), 0);
        assert_int_equal(utf8_columns("a\xc3\xa4\xe2\x82\xac"), 3);
}

static void test_lines_are_cut_at_a_screens_width(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0}, whole = {0};
        static const char text[] = "a\xc3\xa4\xe2\x82\xac!\n\nab\nabc";

        utf8_append_cut(&out, text, 2);
        assert_string_equal(out.data, "a\xc3\xa4\n\nab\nab");
        utf8_append_cut(&whole, text, SIZE_MAX);
        assert_string_equal(whole.data, text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid_text_is_kept),
                cmocka_unit_test(test_each_invalid_byte_becomes_a_replacement_character),
                cmocka_unit_test(test_nul_is_no_text),
                cmocka_unit_test(test_nothing_that_moves_a_cursor_is_printed),
                cmocka_unit_test(test_columns_count_characters_not_bytes),
                cmocka_unit_test(test_lines_are_cut_at_a_screens_width),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
