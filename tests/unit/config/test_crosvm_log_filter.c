/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/crosvm_flags.h"

static LogLevel level_of(const char *filter) {
        LogLevel level;

        assert_int_equal(crosvm_log_filter_parse(filter, &level, NULL), 0);
        return level;
}

static void assert_refused(const char *filter, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};
        LogLevel level;

        assert_int_equal(crosvm_log_filter_parse(filter, &level, &error), -EINVAL);
        assert_string_equal(error.message, message);
}

static void test_the_level_without_a_module_is_the_level(void **state) {
        assert_int_equal(level_of("error"), LOG_LEVEL_ERROR);
        assert_int_equal(level_of("warn"), LOG_LEVEL_WARNING);
        assert_int_equal(level_of("trace"), LOG_LEVEL_DEBUG);
        assert_int_equal(level_of("info,disk=warn"), LOG_LEVEL_INFO);
        assert_int_equal(level_of("disk=debug,debug"), LOG_LEVEL_DEBUG);
        assert_int_equal(level_of("disk=warn"), LOG_LEVEL_INFO);
}

static void test_what_modules_cannot_have_is_refused(void **state) {
        assert_refused("", "the filter is empty");
        assert_refused("loud", "expected error, warn, info or debug, not 'loud'");
        assert_refused("info,disk=loud", "expected error, warn, info or debug, not 'loud'");
        assert_refused("info,error", "two levels in 'info,error'");
        assert_refused("disk=debug",
                       "disk=debug: a module's own debug level is not supported by this version");
        assert_refused("debug,disk=warn",
                       "disk=warn: a module's own debug level is not supported by this version");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_level_without_a_module_is_the_level),
                cmocka_unit_test(test_what_modules_cannot_have_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
