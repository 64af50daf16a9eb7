/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "service/text.h"

static void check(const char *raw, size_t len, const char *expected) {
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(text_sanitize(raw, len, &text), 0);
        assert_string_equal(text, expected);
}

static void test_sound_text_is_kept(void **state) {
        check("", 0, "");
        check("a\tb\nc", 5, "a\tb\nc");
        check("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa2", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa2");
}

static void test_what_d_bus_would_refuse_is_replaced(void **state) {
        check("a\0b\x1b[", 5, "a?b?[");
        check("\xc2\x9b"
              "31m\xc2\xa0",
              7, "?31m\xc2\xa0"); /* C1 */
        check("\x80", 1, "\xef\xbf\xbd");
        check("\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd");                 /* overlong */
        check("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* surrogate */
        check("\xf4\x90\x80\x80", 4,
              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* range */
        check("x\xe2\x82", 3, "x\xef\xbf\xbd\xef\xbf\xbd");        /* cut off */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sound_text_is_kept),
                cmocka_unit_test(test_what_d_bus_would_refuse_is_replaced),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
