/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "config/utf8.h"

static void test_text_of_every_length_is_valid(void **state) {
        assert_true(utf8_valid("", 0));
        assert_true(utf8_valid("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
        assert_true(utf8_valid("\xf4\x8f\xbf\xbf", 4));
}

static void test_malformed_sequences_are_not(void **state) {
        static const char *const bad[] = {
                "\x80",
                "\xc3",
                "\xc0\xaf",
                "\xe0\x80\xaf",
                "\xed\xa0\x80",
                "\xf0\x80\x80\x80",
                "\xf4\x90\x80\x80",
                "\xff",
                "\xc3(",
                "\xe2\x82",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(utf8_valid(bad[i], strlen(bad[i])));
        assert_false(utf8_valid("a\0b", 3));
}

static void test_conversion_makes_surrogates_and_stops_at_the_room(void **state) {
        uint16_t units[4];
        size_t n;

        assert_int_equal(utf8_to_utf16("\xe2\x82\xac\xf0\x9f\x98\x80z", units, 4, &n), 0);
        assert_int_equal(n, 4);
        assert_int_equal(units[0], 0x20ac);
        assert_int_equal(units[1], 0xd83d);
        assert_int_equal(units[2], 0xde00);
        assert_int_equal(units[3], 'z');
        assert_int_equal(utf8_to_utf16("abc\xf0\x9f\x98\x80", units, 4, &n), -ENOSPC);
        assert_int_equal(utf8_to_utf16("\xff", units, 4, &n), -EINVAL);
}

static void test_a_cut_keeps_characters_whole(void **state) {
        assert_int_equal(utf8_cut("", 3), 0);
        assert_int_equal(utf8_cut("ab", 3), 2);
        assert_int_equal(utf8_cut("abc", 3), 3);
        assert_int_equal(utf8_cut("abcd", 3), 3);
        assert_int_equal(utf8_cut("ab\xc3\xa9", 3), 2);
        assert_int_equal(utf8_cut("ab\xc3\xa9", 4), 4);
        assert_int_equal(utf8_cut("\xf0\x9f\x98\x80", 3), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_of_every_length_is_valid),
                cmocka_unit_test(test_malformed_sequences_are_not),
                cmocka_unit_test(test_conversion_makes_surrogates_and_stops_at_the_room),
                cmocka_unit_test(test_a_cut_keeps_characters_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
