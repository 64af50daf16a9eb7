/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dbus/client/value.h"
#include "dbus/client/value_json.h"

static Value *sample(void) {
        Value *object, *array, *member;

        assert_int_equal(value_new(VALUE_OBJECT, &object), 0);
        assert_int_equal(value_add_string(object, "name", "a\"\\\n\x1b\xc3\xa4"), 0);
        assert_int_equal(value_add_uint(object, "big", UINT64_MAX), 0);
        assert_int_equal(value_new(VALUE_INT, &member), 0);
        member->integer = INT64_MIN;
        assert_int_equal(value_append_consume(object, "small", member), 0);
        assert_int_equal(value_new(VALUE_BOOL, &member), 0);
        member->boolean = true;
        assert_int_equal(value_append_consume(object, "yes", member), 0);
        assert_int_equal(value_new(VALUE_ARRAY, &array), 0);
        assert_int_equal(value_new(VALUE_DOUBLE, &member), 0);
        member->real = 0.5;
        assert_int_equal(value_append_consume(array, NULL, member), 0);
        assert_int_equal(value_new(VALUE_OBJECT, &member), 0);
        assert_int_equal(value_append_consume(array, NULL, member), 0);
        assert_int_equal(value_append_consume(object, "list", array), 0);
        return object;
}

static void test_short_json_has_types_and_no_white_space(void **state) {
        _cleanup_(value_freep) Value *value = sample();
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        value_json(value, false, &out);
        assert_string_equal(out.data, "{\"name\":\"a\\\"\\\\\\n\\u001b\xc3\xa4\","
                                      "\"big\":18446744073709551615,"
                                      "\"small\":-9223372036854775808,\"yes\":true,"
                                      "\"list\":[0.5,{}]}");
}

static void test_pretty_json_is_indented_by_two(void **state) {
        _cleanup_(value_freep) Value *value = NULL;
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        Value *inner;

        assert_int_equal(value_new(VALUE_ARRAY, &value), 0);
        assert_int_equal(value_new(VALUE_OBJECT, &inner), 0);
        assert_int_equal(value_add_uint(inner, "a", 1), 0);
        assert_int_equal(value_add_uint(inner, "b", 2), 0);
        assert_int_equal(value_append_consume(value, NULL, inner), 0);
        value_json(value, true, &out);
        assert_string_equal(out.data, "[\n  {\n    \"a\": 1,\n    \"b\": 2\n  }\n]");
}

static void test_numbers_json_cannot_say_are_null(void **state) {
        _cleanup_(value_freep) Value *value = NULL;
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        assert_int_equal(value_new(VALUE_DOUBLE, &value), 0);
        value->real = __builtin_nan("");
        value_json(value, false, &out);
        assert_string_equal(out.data, "null");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_short_json_has_types_and_no_white_space),
                cmocka_unit_test(test_pretty_json_is_indented_by_two),
                cmocka_unit_test(test_numbers_json_cannot_say_are_null),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
