/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config/cpu_features.h"

static void test_features_are_added_and_hidden_by_name(void **state) {
        CpuFeatureChange change = {0};

        assert_int_equal(cpu_feature_change_parse("+smep,-x2apic", &change, NULL), 0);
        assert_true(cpu_feature_set_has(&change.add, CPU_FEATURE_SMEP));
        assert_true(cpu_feature_set_has(&change.hide, CPU_FEATURE_X2APIC));
        assert_false(cpu_feature_set_has(&change.hide, CPU_FEATURE_SMEP));
        assert_false(cpu_feature_set_has(&change.add, CPU_FEATURE_SMAP));
}

static void test_the_later_mention_counts(void **state) {
        CpuFeatureChange change = {0};

        assert_int_equal(cpu_feature_change_parse("+smep", &change, NULL), 0);
        assert_int_equal(cpu_feature_change_parse("-smep", &change, NULL), 0);
        assert_false(cpu_feature_set_has(&change.add, CPU_FEATURE_SMEP));
        assert_true(cpu_feature_set_has(&change.hide, CPU_FEATURE_SMEP));
}

static void test_what_is_wrong_is_named_and_changes_nothing(void **state) {
        static const char *const bad[] = {"",   "smep",     "+",    "+smep,",    "+smep,,-nx",
                                          "+ ", "+smepper", "+sme", "+smep,xyz", "-SMEP"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                CpuFeatureChange change = {0};
                const CpuFeatureChange none = {0};

                assert_int_equal(cpu_feature_change_parse(bad[i], &change, &error), -EINVAL);
                assert_non_null(error.message);
                assert_memory_equal(&change, &none, sizeof(none));
        }
}

static void test_emitting_nothing_is_no_text(void **state) {
        const CpuFeatureChange none = {0};
        char unused, *text = &unused;

        assert_int_equal(cpu_feature_change_emit(&none, &text), 0);
        assert_null(text);
}

static void test_every_name_and_every_bit_is_there_once(void **state) {
        for (unsigned i = 0; i < CPU_FEATURES; i++)
                for (unsigned k = 0; k < i; k++) {
                        const CpuFeatureInfo *a = &cpu_feature_infos[i], *b = &cpu_feature_infos[k];

                        assert_string_not_equal(a->name, b->name);
                        assert_false(a->leaf == b->leaf && a->subleaf == b->subleaf &&
                                     a->reg == b->reg && a->bit == b->bit);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_features_are_added_and_hidden_by_name),
                cmocka_unit_test(test_the_later_mention_counts),
                cmocka_unit_test(test_what_is_wrong_is_named_and_changes_nothing),
                cmocka_unit_test(test_emitting_nothing_is_no_text),
                cmocka_unit_test(test_every_name_and_every_bit_is_there_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
