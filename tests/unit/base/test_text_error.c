/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text_error.h"

static void test_the_innermost_sentence_is_kept(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(text_error_set(&error, -EINVAL, "cause %d", 1), -EINVAL);
        assert_int_equal(text_error_set(&error, -EIO, "other"), -EIO);
        assert_string_equal(text_error_message(&error, -EIO), "cause 1");
}

static void test_a_prefix_names_the_act_before_the_cause(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};

        (void) text_error_set(&error, -EINVAL, "cause");
        assert_int_equal(text_error_prefix(&error, -EINVAL, "load %s", "x"), -EINVAL);
        assert_string_equal(text_error_message(&error, -EINVAL), "load x: cause");
}

static void test_without_a_sentence_the_system_text_is_used(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_string_equal(text_error_message(&error, -ENOENT), "No such file or directory");
        (void) text_error_prefix(&error, -ENOENT, "open x");
        assert_string_equal(text_error_message(&error, -ENOENT),
                            "open x: No such file or directory");
}

static void test_a_caller_may_want_no_text(void **state) {
        assert_int_equal(text_error_set(NULL, -EINVAL, "cause"), -EINVAL);
        assert_int_equal(text_error_prefix(NULL, -EINVAL, "context"), -EINVAL);
        assert_string_equal(text_error_message(NULL, -EINVAL), "Invalid argument");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_innermost_sentence_is_kept),
                cmocka_unit_test(test_a_prefix_names_the_act_before_the_cause),
                cmocka_unit_test(test_without_a_sentence_the_system_text_is_used),
                cmocka_unit_test(test_a_caller_may_want_no_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
