/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/json_scan.h"

static void assert_fine(const char *text) {
        _cleanup_(text_error_deinit) TextError error = {0};

        if (json_scan(text, strlen(text), &error) != 0)
                fail_msg("%s: %s", text, error.message);
}

static void assert_message(const char *text, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(json_scan(text, strlen(text), &error), -EINVAL);
        assert_string_equal(error.message, message);
}

static void test_every_kind_of_value_is_fine(void **state) {
        static const char *const texts[] = {
                "null",
                " true\n",
                "false",
                "0",
                "-0",
                "12",
                "-1.5e+3",
                "1E-2",
                "0.0",
                "\"\"",
                "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
                "[]",
                "[1,2]",
                "{}",
                "{\"a\":{\"a\":[{\"a\":1}]},\"\":2}",
                "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
                "{\"key with \\u0001\":1}",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_fine(texts[i]);
}

static void test_messages_have_path_line_and_column(void **state) {
        assert_message("{\n  \"a\": [1,\n   tru]}", "a[1]: line 3 column 4: expected a value");
        assert_message("{\"\xc3\xa9\": x}", "[\"\xc3\xa9\"]: line 1 column 7: expected a value");
        assert_message("[", "[0]: line 1 column 2: the text ends early");
        assert_message("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}",
                       "b.c: line 1 column 22: the key is given twice");
}

static void test_lone_and_wrong_surrogates_are_refused(void **state) {
        assert_message("\"\\udc00\"", "config: line 1 column 8: half of a surrogate pair");
        assert_message("\"\\ud800\\u0041\"", "config: line 1 column 14: half of a surrogate pair");
        assert_message("\"\\ud800\\n\"", "config: line 1 column 9: half of a surrogate pair");
        assert_message("\"\\u12\"", "config: line 1 column 6: expected four hex digits behind \\u");
        assert_message("\"\\u12g4\"",
                       "config: line 1 column 6: expected four hex digits behind \\u");
}

static void test_bytes_behind_a_nul_do_not_hide(void **state) {
        static const char text[] = "{}\0{}";

        assert_int_equal(json_scan(text, sizeof(text) - 1, NULL), -EINVAL);
        assert_int_equal(json_scan(text, 2, NULL), 0);
}

static void test_members_are_counted(void **state) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        for (unsigned i = 0; i < JSON_MEMBERS_MAX; i++)
                strbuf_printf(&text, "%c\"%u\":0", i == 0 ? '{' : ',', i);
        strbuf_append(&text, "}");
        assert_fine(text.data);
        text.data[text.len - 1] = ',';
        strbuf_append(&text, "\"x\":0}");
        assert_int_equal(json_scan(text.data, text.len, NULL), -EINVAL);
}

static void test_long_keys_are_cut_between_characters(void **state) {
        _cleanup_(strbuf_deinit) StrBuf path = {0}, key = {0};

        strbuf_append(&key, "x");
        for (unsigned i = 0; i < 40; i++)
                strbuf_append(&key, "\xc3\xa9");
        json_path_add_key(&path, key.data);
        assert_int_equal(path.len, 2 + 63 + 5);
        assert_memory_equal(path.data + path.len - 7, "\xc3\xa9...\"]", 7);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_of_value_is_fine),
                cmocka_unit_test(test_messages_have_path_line_and_column),
                cmocka_unit_test(test_lone_and_wrong_surrogates_are_refused),
                cmocka_unit_test(test_bytes_behind_a_nul_do_not_hide),
                cmocka_unit_test(test_members_are_counted),
                cmocka_unit_test(test_long_keys_are_cut_between_characters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
