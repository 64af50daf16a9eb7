/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "config/semver.h"

static void test_ranges_are_those_of_the_published_rules(void **state) {
        static const struct {
                const char *requirement, *version;
                bool matches;
        } cases[] = {
                {"~1.0", "1.0.0", true},
                {"~1.0", "1.0.9", true},
                {"~1.0", "1.1.0", false},
                {"~1", "1.9.9", true},
                {"~1", "2.0.0", false},
                {"~1.2.3", "1.2.2", false},
                {"~1.2.3", "1.2.4", true},
                {"^1", "1.0.0", true},
                {"^1", "2.0.0", false},
                {"1", "1.5.0", true},
                {"^1.2", "1.1.9", false},
                {"^1.2.3", "1.9.0", true},
                {"^0.2.3", "0.2.9", true},
                {"^0.2.3", "0.3.0", false},
                {"^0.0.3", "0.0.3", true},
                {"^0.0.3", "0.0.4", false},
                {"^0.0", "0.0.7", true},
                {"^0.0", "0.1.0", false},
                {"^0", "0.9.0", true},
                {"^0", "1.0.0", false},
                {"=1.0.0", "1.0.0", true},
                {"=1.0", "1.0.5", true},
                {"=1", "1.9.9", true},
                {"=1", "2.0.0", false},
                {">1.0.0", "1.0.0", false},
                {">1.0.0", "1.0.1", true},
                {">1.0", "1.0.9", false},
                {">1.0", "1.1.0", true},
                {">1", "1.9.9", false},
                {">1", "2.0.0", true},
                {">=1", "1.0.0", true},
                {">=1.0.1", "1.0.0", false},
                {"<2", "1.9.9", true},
                {"<1", "1.0.0", false},
                {"<=1", "1.9.9", true},
                {"<=1.0", "1.1.0", false},
                {"<=1.0.0", "1.0.0", true},
                {"*", "7.8.9", true},
                {"1.*", "1.4.0", true},
                {"1.*", "2.0.0", false},
                {"1.2.*", "1.2.9", true},
                {"1.2.*", "1.3.0", false},
                {"1.*.*", "1.3.0", true},
                {">=1.0, <2", "1.0.0", true},
                {">=1.0, <2", "2.0.0", false},
                {" >= 1.0 ,  < 2 ", "1.5.0", true},
                {"^1.0.0-rc.1", "1.0.0", true},
                {"=1.0.0-rc.1", "1.0.0", false},
                {">1.0.0-rc.1", "1.0.0", true},
                {"<1.0.0-rc.1", "1.0.0", false},
                {"=1.0.0+build.5", "1.0.0", true},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                bool matches = !cases[i].matches;
                int r = semver_requirement_matches(cases[i].requirement, cases[i].version,
                                                   &matches);

                if (r < 0 || matches != cases[i].matches)
                        fail_msg("%s against %s: %d, %d", cases[i].requirement, cases[i].version, r,
                                 matches);
        }
}

static void test_malformed_requirements_are_refused(void **state) {
        static const char *const bad[] = {
                "",
                " ",
                "1.",
                "1.2.3.4",
                "01",
                "1.02",
                "v1",
                "~",
                "1,",
                ",1",
                "1 2",
                ">=*",
                "~1.*",
                "*.1",
                "1.*.2",
                "==1",
                "=>1",
                "1.0.0-",
                "1.0.0-a..b",
                "1.0.0+",
                "1.0-rc",
                "-1",
                "99999999999999999999",
                "18446744073709551615",
                "1;2",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (semver_requirement_parse(bad[i]) != -EINVAL)
                        fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(semver_requirement_parse("~1.0"), 0);
}

static void test_the_version_itself_is_complete(void **state) {
        bool matches;

        assert_int_equal(semver_requirement_matches("1", "1.0", &matches), -EINVAL);
        assert_int_equal(semver_requirement_matches("1", "1.0.0x", &matches), -EINVAL);
        assert_int_equal(semver_requirement_matches("1", "1.0.*", &matches), -EINVAL);
}

static void test_the_number_of_comparators_is_bounded(void **state) {
        char text[33 * 2 + 1];

        for (unsigned i = 0; i < 33; i++) {
                text[i * 2] = '1';
                text[i * 2 + 1] = ',';
        }
        text[32 * 2 - 1] = '\0';
        assert_int_equal(semver_requirement_parse(text), 0);
        text[32 * 2 - 1] = ',';
        text[33 * 2 - 1] = '\0';
        assert_int_equal(semver_requirement_parse(text), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ranges_are_those_of_the_published_rules),
                cmocka_unit_test(test_malformed_requirements_are_refused),
                cmocka_unit_test(test_the_version_itself_is_complete),
                cmocka_unit_test(test_the_number_of_comparators_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
