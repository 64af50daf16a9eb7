/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dbus/client/suggest.h"

static const char *suggest(const char *typed, const char *const *candidates) {
        Suggestion best = {0};

        for (; *candidates; candidates++)
                suggestion_offer(&best, typed, strlen(typed), *candidates);
        return best.text;
}

static const char *const words[] = {"list", "kill", "release", "capabilities", NULL};

static void test_one_slip_is_forgiven(void **state) {
        assert_string_equal(suggest("lits", words), "list");
        assert_string_equal(suggest("lst", words), "list");
        assert_string_equal(suggest("listt", words), "list");
        assert_string_equal(suggest("bill", words), "kill");
        assert_string_equal(suggest("relaese", words), "release");
        assert_string_equal(suggest("capabilites", words), "capabilities");
}

static void test_unrelated_words_suggest_nothing(void **state) {
        assert_null(suggest("show", words));
        assert_null(suggest("x", words));
        assert_null(suggest("", words));
}

static void test_the_nearest_candidate_wins_whatever_the_order(void **state) {
        static const char *const up[] = {"machine-10", "machine-1", NULL};
        static const char *const down[] = {"machine-1", "machine-10", NULL};

        assert_string_equal(suggest("machin-1", up), "machine-1");
        assert_string_equal(suggest("machin-1", down), "machine-1");
}

static void test_words_of_any_length_are_survived(void **state) {
        char longest[200];

        memset(longest, 'a', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        assert_null(suggest(longest, words));
        longest[64] = '\0';
        assert_string_equal(suggest(longest, (const char *const[]){longest, NULL}), longest);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_slip_is_forgiven),
                cmocka_unit_test(test_unrelated_words_suggest_nothing),
                cmocka_unit_test(test_the_nearest_candidate_wins_whatever_the_order),
                cmocka_unit_test(test_words_of_any_length_are_survived),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
