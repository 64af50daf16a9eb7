/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "dbus/client/value.h"

static void test_members_are_found_by_key_and_keep_their_order(void **state) {
        _cleanup_(value_freep) Value *object = NULL;
        char key[16];

        assert_int_equal(value_new(VALUE_OBJECT, &object), 0);
        for (unsigned i = 0; i < 100; i++) {
                (void) snprintf(key, sizeof(key), "k%u", i);
                assert_int_equal(value_add_uint(object, key, i), 0);
        }
        assert_int_equal(object->n_members, 100);
        assert_string_equal(object->members[42]->key, "k42");
        assert_int_equal(value_get_uint(object, "k99", 0), 99);
        assert_null(value_get(object, "k100"));
        assert_null(value_get(NULL, "k1"));
}

static void test_getters_answer_for_what_is_absent_or_of_another_type(void **state) {
        _cleanup_(value_freep) Value *object = NULL;
        Value *negative;

        assert_int_equal(value_new(VALUE_OBJECT, &object), 0);
        assert_int_equal(value_add_string(object, "s", "text"), 0);
        assert_int_equal(value_add_uint(object, "huge", UINT64_MAX), 0);
        assert_int_equal(value_new(VALUE_INT, &negative), 0);
        negative->integer = -3;
        assert_int_equal(value_append_consume(object, "n", negative), 0);

        assert_string_equal(value_get_string(object, "s"), "text");
        assert_string_equal(value_get_string(object, "n"), "");
        assert_int_equal(value_get_uint(object, "s", 7), 7);
        assert_int_equal(value_get_uint(object, "n", 7), 7);
        assert_int_equal(value_get_int(object, "n", 7), -3);
        assert_int_equal(value_get_int(object, "huge", 7), 7);
        assert_false(value_get_bool(object, "s"));
        assert_null(value_get(value_get(object, "s"), "x"));
}

static void test_text_of_any_bytes_is_made_valid(void **state) {
        _cleanup_(value_freep) Value *text = NULL;

        assert_int_equal(value_new_text("\xff\0x", 3, &text), 0);
        assert_string_equal(text->string, "\xef\xbf\xbd\xef\xbf\xbdx");
}

static void test_a_failed_allocation_is_passed_on(void **state) {
        _cleanup_(value_freep) Value *array = NULL;

        assert_int_equal(value_new(VALUE_ARRAY, &array), 0);
        assert_int_equal(value_append_consume(array, NULL, NULL), -ENOMEM);
        assert_int_equal(array->n_members, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_members_are_found_by_key_and_keep_their_order),
                cmocka_unit_test(test_getters_answer_for_what_is_absent_or_of_another_type),
                cmocka_unit_test(test_text_of_any_bytes_is_made_valid),
                cmocka_unit_test(test_a_failed_allocation_is_passed_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
