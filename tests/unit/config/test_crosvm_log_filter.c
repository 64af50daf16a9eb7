/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/crosvm_flags.h"

static LogFilter parse(const char *text) {
        LogFilter filter;

        assert_int_equal(crosvm_log_filter_parse(text, &filter, NULL), 0);
        return filter;
}

static void assert_refused(const char *filter, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};
        LogFilter parsed;

        assert_int_equal(crosvm_log_filter_parse(filter, &parsed, &error), -EINVAL);
        assert_string_equal(error.message, message);
}

static void test_the_level_without_a_module_is_the_level(void **state) {
        assert_int_equal(parse("error").level, LOG_LEVEL_ERROR);
        assert_int_equal(parse("warn").level, LOG_LEVEL_WARNING);
        assert_int_equal(parse("trace").level, LOG_LEVEL_DEBUG);
        assert_int_equal(parse("off").level, LOG_LEVEL_OFF);
        assert_int_equal(parse("info,disk=warn").level, LOG_LEVEL_INFO);
        assert_int_equal(parse("disk=debug,debug").level, LOG_LEVEL_DEBUG);
        assert_int_equal(parse("disk=warn").level, LOG_LEVEL_INFO);
}

static void test_modules_have_levels_of_their_own(void **state) {
        LogFilter filter = parse("warn,virtio=debug,hv::kvm=off");

        assert_int_equal(filter.n_rules, 2);
        assert_string_equal(filter.rules[0].module, "virtio");
        assert_int_equal(filter.rules[0].level, LOG_LEVEL_DEBUG);
        assert_string_equal(filter.rules[1].module, "hv::kvm");
        assert_int_equal(filter.rules[1].level, LOG_LEVEL_OFF);
}

static void test_mistakes_are_named(void **state) {
        assert_refused("", "the filter is empty");
        assert_refused("loud", "expected off, error, warn, info or debug, not 'loud'");
        assert_refused("info,disk=loud", "expected off, error, warn, info or debug, not 'loud'");
        assert_refused("info,error", "two levels in 'info,error'");
        assert_refused("=debug", "a module's name has 1 to 47 bytes");
        assert_refused(
                "a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,a=info,"
                "a=info,a=info,a=info,a=info,a=info,a=info",
                "more than 16 modules");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_level_without_a_module_is_the_level),
                cmocka_unit_test(test_modules_have_levels_of_their_own),
                cmocka_unit_test(test_mistakes_are_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
