/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dbus/client/usage.h"
#include "dbus/client/value_json.h"

typedef struct Entry {
        const char *name;
        uint64_t cpu_usec, guest_bytes, sampled_usec;
} Entry;

static void append_number(Value *row, uint64_t number) {
        Value *value;

        assert_int_equal(value_new(VALUE_UINT, &value), 0);
        value->number = number;
        assert_int_equal(value_append_consume(row, NULL, value), 0);
}

static void append_text(Value *row, const char *text) {
        Value *value;

        assert_int_equal(value_new_text(text, strlen(text), &value), 0);
        assert_int_equal(value_append_consume(row, NULL, value), 0);
}

static Value *make_answer(const Entry *entries, size_t n) {
        Value *answer;

        assert_int_equal(value_new(VALUE_ARRAY, &answer), 0);
        for (size_t i = 0; i < n; i++) {
                char path[32];
                Value *row;

                assert_int_equal(value_new(VALUE_ARRAY, &row), 0);
                (void) snprintf(path, sizeof(path), "/%s", entries[i].name);
                append_text(row, path);
                append_text(row, entries[i].name);
                append_number(row, 2);
                append_number(row, 1 << 20);
                append_number(row, entries[i].cpu_usec);
                append_number(row, entries[i].guest_bytes);
                append_number(row, 5);
                append_number(row, 6);
                append_number(row, 7);
                append_number(row, entries[i].sampled_usec);
                assert_int_equal(value_append_consume(answer, NULL, row), 0);
        }
        return answer;
}

static void look_at(UsageLook *look, const Entry *entries, size_t n) {
        assert_int_equal(usage_read(make_answer(entries, n), look), 0);
}

#define LOOK(look, ...)                                                                            \
        look_at(look, (const Entry[]){__VA_ARGS__},                                                \
                sizeof((const Entry[]){__VA_ARGS__}) / sizeof(Entry))

static void assert_percent(const UsageRow *row, double expected) {
        assert_true(row->cpu_percent > expected - 0.001 && row->cpu_percent < expected + 0.001);
}

static void test_the_share_is_of_the_time_between_two_readings(void **state) {
        _cleanup_(usage_deinit) UsageLook before = {0}, now = {0}, later = {0};

        LOOK(&before, {"a", 1000, 1, 10000}, {"b", 0, 1, 0}, {"c", 5, 1, 10});
        usage_compare(&before, &now);
        assert_percent(&before.rows[0], -1);
        LOOK(&now, {"b", 10, 1, 20000}, {"a", 16000, 1, 20000}, {"new", 1, 1, 20000});
        usage_compare(&now, &before);
        assert_percent(&now.rows[0], -1); /* read for the first time */
        assert_percent(&now.rows[1], 150);
        assert_percent(&now.rows[2], -1);
        /* Nothing was read since: the figure stands. */
        LOOK(&later, {"a", 16000, 1, 20000});
        usage_compare(&later, &now);
        assert_percent(&later.rows[0], 150);
}

static void expect_order(UsageLook *look, UsageOrder order, const char *expected) {
        usage_sort(look, order);
        assert_int_equal(look->n, strlen(expected));
        for (size_t i = 0; i < look->n; i++)
                assert_int_equal(look->rows[i].name[0], expected[i]);
}

static void test_rows_are_sorted_as_asked_and_by_name_where_that_decides_nothing(void **state) {
        _cleanup_(usage_deinit) UsageLook look = {0}, none = {0};

        LOOK(&look, {"d", 0, 30, 1}, {"c", 0, 10, 1}, {"b", 0, 20, 1}, {"a", 0, 10, 1});
        look.rows[0].cpu_percent = 1;
        look.rows[1].cpu_percent = 90;
        expect_order(&look, USAGE_BY_CPU, "cdab");
        expect_order(&look, USAGE_BY_MEMORY, "dbac");
        expect_order(&look, USAGE_BY_NAME, "abcd");
        expect_order(&none, USAGE_BY_CPU, "");
}

static void test_what_is_not_of_that_shape_is_refused(void **state) {
        UsageLook look = {0};
        Value *answer;

        assert_int_equal(value_new(VALUE_ARRAY, &answer), 0);
        append_text(answer, "no row");
        assert_int_equal(usage_read(answer, &look), -EBADMSG);
        assert_null(value_free(answer));
        answer = make_answer(&(Entry){"a", 1, 1, 1}, 1);
        answer->members[0]->members[4]->type = VALUE_BOOL;
        assert_int_equal(usage_read(answer, &look), -EBADMSG);
        assert_null(value_free(answer));
        assert_null(look.rows);
}

static void test_json_has_the_share_once_it_is_known(void **state) {
        _cleanup_(usage_deinit) UsageLook look = {0};
        _cleanup_(value_freep) Value *json = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        LOOK(&look, {"a", 3, 4, 8}, {"b", 0, 0, 0});
        look.rows[0].cpu_percent = 50;
        assert_int_equal(usage_json(&look, &json), 0);
        value_json(json, false, &text);
        assert_non_null(strstr(text.data, "\"Name\":\"a\",\"Path\":\"/a\",\"Vcpus\":2,"));
        assert_non_null(strstr(text.data, "\"SampleTimestampMonotonic\":8,\"CpuPercent\":50"));
        assert_non_null(strstr(text.data, "\"SampleTimestampMonotonic\":0}]"));
}

static void test_orders_have_names(void **state) {
        UsageOrder order = USAGE_BY_CPU;

        assert_int_equal(usage_order_from_string("memory", &order), 0);
        assert_int_equal(order, USAGE_BY_MEMORY);
        assert_int_equal(usage_order_from_string("colour", &order), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_share_is_of_the_time_between_two_readings),
                cmocka_unit_test(
                        test_rows_are_sorted_as_asked_and_by_name_where_that_decides_nothing),
                cmocka_unit_test(test_what_is_not_of_that_shape_is_refused),
                cmocka_unit_test(test_json_has_the_share_once_it_is_known),
                cmocka_unit_test(test_orders_have_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
