/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/snapshot/snapshot.h"

typedef struct Thing {
        uint8_t small;
        bool flag;
        uint32_t limited;
        uint64_t big;
        uint16_t many[3];
        int64_t below_zero;
} Thing;

static const SnapshotField fields[] = {
        SNAPSHOT_UINT(Thing, small),          SNAPSHOT_BOOL(Thing, flag),
        SNAPSHOT_RANGE(Thing, limited, 3, 5), SNAPSHOT_UINT(Thing, big),
        SNAPSHOT_ARRAY(Thing, many),          SNAPSHOT_UINT(Thing, below_zero),
};

static const Thing example = {
        .small = 0xab,
        .flag = true,
        .limited = 4,
        .big = UINT64_C(0x0123456789abcdef),
        .many = {1, 2, 0xfffe},
        .below_zero = -5,
};

static void describe(Thing *thing, Snapshot *s) {
        snapshot_enter(s, "thing", 7);
        snapshot_members(s, fields, thing);
        snapshot_leave(s);
}

static void save(Snapshot *s, const Thing *thing) {
        Thing copy = *thing;

        snapshot_init_saving(s);
        describe(&copy, s);
        assert_int_equal(s->error, 0);
}

/* Fails with @why in the sentence. */
static void refuses(const uint8_t *bytes, size_t len, const char *why) {
        Thing thing = {0};
        Snapshot s;

        snapshot_init_restoring(&s, bytes, len);
        describe(&thing, &s);
        assert_int_equal(s.error, -EBADMSG);
        assert_false(snapshot_restored(&s));
        assert_non_null(strstr(text_error_message(&s.text, s.error), why));
        snapshot_deinit(&s);
}

static void test_what_was_saved_is_restored(void **state) {
        Thing thing = {0};
        Snapshot saved, s;

        save(&saved, &example);
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        describe(&thing, &s);
        assert_true(snapshot_restored(&s));
        assert_int_equal(s.at, s.len);
        assert_int_equal(thing.small, example.small);
        assert_true(thing.flag);
        assert_int_equal(thing.limited, example.limited);
        assert_true(thing.big == example.big);
        assert_memory_equal(thing.many, example.many, sizeof(thing.many));
        assert_true(thing.below_zero == -5);
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
}

static void test_the_format_has_no_gaps_and_is_little_endian(void **state) {
        static const uint8_t expected[] = {
                5,    't', 'h', 'i', 'n',  'g',  7,    0,    0,    0,    28,   0,    0,    0,
                0xab, 1,   4,   0,   0,    0,    0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,
                1,    0,   2,   0,   0xfe, 0xff, 0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        };
        Snapshot saved;

        save(&saved, &example);
        assert_int_equal(saved.len, sizeof(expected));
        assert_memory_equal(saved.bytes, expected, sizeof(expected));
        snapshot_deinit(&saved);
}

static void test_every_truncation_is_refused(void **state) {
        Snapshot saved;

        save(&saved, &example);
        for (size_t len = 0; len < saved.len; len++)
                refuses(saved.bytes, len, "ends too early");
        snapshot_deinit(&saved);
}

static void test_a_section_that_is_longer_or_shorter_is_refused(void **state) {
        Snapshot saved;

        save(&saved, &example);
        saved.bytes[10]--;
        refuses(saved.bytes, saved.len, "ends too early");
        saved.bytes[10] += 2;
        refuses(saved.bytes, saved.len, "ends too early"); /* than the section says */
        saved.bytes = realloc(saved.bytes, saved.len + 1);
        assert_non_null(saved.bytes);
        refuses(saved.bytes, saved.len + 1, "1 bytes too many");
        snapshot_deinit(&saved);
}

static void test_another_section_is_refused_by_name(void **state) {
        Snapshot saved;

        save(&saved, &example);
        saved.bytes[6] = 8;
        refuses(saved.bytes, saved.len, "expected section thing 7");
        saved.bytes[6] = 7;
        saved.bytes[1] = 'x';
        refuses(saved.bytes, saved.len, "expected section thing 7");
        snapshot_deinit(&saved);
}

static void test_values_out_of_range_are_refused_by_name(void **state) {
        Snapshot saved;

        save(&saved, &example);
        saved.bytes[16] = 6;
        refuses(saved.bytes, saved.len, "thing 7: limited is 6, not 3 to 5");
        saved.bytes[16] = 2;
        refuses(saved.bytes, saved.len, "limited is 2");
        saved.bytes[16] = 4;
        saved.bytes[15] = 2;
        refuses(saved.bytes, saved.len, "flag is 2, not 0 to 1");
        snapshot_deinit(&saved);
}

static void test_a_value_that_is_refused_is_not_stored(void **state) {
        Thing thing = {.limited = 3};
        Snapshot saved, s;

        save(&saved, &example);
        saved.bytes[16] = 6;
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        describe(&thing, &s);
        assert_int_equal(thing.limited, 3);
        assert_true(thing.big == 0); /* nor what comes behind it */
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
}

static void test_the_first_mistake_is_the_one_told(void **state) {
        Snapshot s;

        snapshot_init_saving(&s);
        snapshot_enter(&s, "a", 0);
        snapshot_refuse(&s, "one");
        snapshot_refuse(&s, "two");
        snapshot_leave(&s);
        assert_int_equal(s.error, -EOPNOTSUPP);
        assert_string_equal(text_error_message(&s.text, s.error), "a 0: one");
        snapshot_deinit(&s);
}

static void expect_all(Snapshot *s, uint64_t number, const char *text) {
        snapshot_enter(s, "same", 0);
        snapshot_expect(s, "the number", number);
        snapshot_expect_text(s, "the text", text);
        snapshot_leave(s);
}

static void test_what_differs_is_told_with_both_values(void **state) {
        static const struct {
                uint64_t number;
                const char *text, *why;
        } others[] = {
                {3, "soft", "the number is 2 in the snapshot and 3 here"},
                {2, "kvm", "the text is soft in the snapshot and kvm here"},
        };
        Snapshot saved, s;

        snapshot_init_saving(&saved);
        expect_all(&saved, 2, "soft");
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        expect_all(&s, 2, "soft");
        assert_true(snapshot_restored(&s));
        snapshot_deinit(&s);
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                snapshot_init_restoring(&s, saved.bytes, saved.len);
                expect_all(&s, others[i].number, others[i].text);
                assert_non_null(strstr(text_error_message(&s.text, s.error), others[i].why));
                snapshot_deinit(&s);
        }
        snapshot_deinit(&saved);
}

static void test_text_of_a_snapshot_is_shown_without_control_characters(void **state) {
        Snapshot saved, s;

        snapshot_init_saving(&saved);
        expect_all(&saved, 2, "so\033[2J");
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        expect_all(&s, 2, "soft");
        assert_non_null(strstr(text_error_message(&s.text, s.error), "so?[2J in the snapshot"));
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
}

static void test_the_state_has_a_limit(void **state) {
        static uint8_t block[1u << 20];
        Snapshot s;

        snapshot_init_saving(&s);
        for (unsigned i = 0; i < SNAPSHOT_STATE_MAX / sizeof(block); i++)
                snapshot_bytes(&s, block, sizeof(block));
        assert_int_equal(s.error, 0);
        snapshot_bytes(&s, block, 1);
        assert_int_equal(s.error, -EOPNOTSUPP);
        snapshot_deinit(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_was_saved_is_restored),
                cmocka_unit_test(test_the_format_has_no_gaps_and_is_little_endian),
                cmocka_unit_test(test_every_truncation_is_refused),
                cmocka_unit_test(test_a_section_that_is_longer_or_shorter_is_refused),
                cmocka_unit_test(test_another_section_is_refused_by_name),
                cmocka_unit_test(test_values_out_of_range_are_refused_by_name),
                cmocka_unit_test(test_a_value_that_is_refused_is_not_stored),
                cmocka_unit_test(test_the_first_mistake_is_the_one_told),
                cmocka_unit_test(test_what_differs_is_told_with_both_values),
                cmocka_unit_test(test_text_of_a_snapshot_is_shown_without_control_characters),
                cmocka_unit_test(test_the_state_has_a_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
