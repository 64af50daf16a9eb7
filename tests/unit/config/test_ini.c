/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "config/ini.h"

static int note(void *userdata, const char *section, const char *key, const char *value,
                TextError *reterr) {
        if (key && str_eq(key, "Bad"))
                return text_error_set(reterr, -EINVAL, "is bad");
        strbuf_printf(userdata, "[%s]%s=%s\n", section, key ?: "", value ?: "");
        return 0;
}

static int parse(const char *text, StrBuf *notes, TextError *error) {
        return ini_parse(text, strlen(text), note, notes, error);
}

static void test_sections_keys_and_comments(void **state) {
        _cleanup_(strbuf_deinit) StrBuf notes = {0};

        assert_int_equal(parse("# c\n a = 1 \r\n\n[ S one ]\nb=\n;x=y\nc= d = e", &notes, NULL), 0);
        assert_string_equal(notes.data, "[]a=1\n[S one]=\n[S one]b=\n[S one]c=d = e\n");
}

static void test_errors_name_the_line(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                {"a=1\nb\n", "line 2: expected KEY=VALUE"}, {"=1\n", "line 1: expected KEY=VALUE"},
                {"\n\n[x\n", "line 3: expected [SECTION]"}, {"[]\n", "line 1: expected [SECTION]"},
                {"[a]\nBad=1\n", "line 2: is bad"},         {"a=\xff\n", "is no text in UTF-8"}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(strbuf_deinit) StrBuf notes = {0};

                assert_int_equal(parse(cases[i].text, &notes, &error), -EINVAL);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_a_file_has_a_limit(void **state) {
        _cleanup_(freep) char *text = malloc(INI_BYTES_MAX + 1);

        assert_non_null(text);
        memset(text, '\n', INI_BYTES_MAX + 1);
        assert_int_equal(ini_parse(text, INI_BYTES_MAX, note, NULL, NULL), 0);
        assert_int_equal(ini_parse(text, INI_BYTES_MAX + 1, note, NULL, NULL), -E2BIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sections_keys_and_comments),
                cmocka_unit_test(test_errors_name_the_line),
                cmocka_unit_test(test_a_file_has_a_limit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
