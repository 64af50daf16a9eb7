/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/metrics/exposition.h"

static const MetricFamily counter = {"a_bytes", "bytes", "Bytes.", METRIC_COUNTER};
static const MetricFamily info = {"b", NULL, "What it is.", METRIC_INFO};
static const MetricFamily states = {"c_state", NULL, "State.", METRIC_STATE_SET};

static char *write_all(ExpositionFormat format) {
        _cleanup_(exposition_deinit) Exposition exposition = {.format = format};
        char *text = NULL;

        exposition_begin(&exposition, &counter);
        exposition_add_count(&exposition, NULL, UINT64_MAX);
        exposition_begin(&exposition, &info);
        exposition_add_count(&exposition, "x=\"1\"", 1);
        exposition_begin(&exposition, &states);
        exposition_add_state(&exposition, "x=\"1\"", "on", true);
        exposition_add_state(&exposition, NULL, "off", false);
        assert_int_equal(exposition_finish(&exposition, &text), 0);
        return text;
}

static void test_the_old_format_names_families_as_their_samples(void **state) {
        _cleanup_(freep) char *text = write_all(EXPOSITION_PROMETHEUS);

        assert_string_equal(text, "# HELP a_bytes_total Bytes.\n"
                                  "# TYPE a_bytes_total counter\n"
                                  "a_bytes_total 18446744073709551615\n"
                                  "# HELP b_info What it is.\n"
                                  "# TYPE b_info gauge\n"
                                  "b_info{x=\"1\"} 1\n"
                                  "# HELP c_state State.\n"
                                  "# TYPE c_state gauge\n"
                                  "c_state{x=\"1\",c_state=\"on\"} 1\n"
                                  "c_state{c_state=\"off\"} 0\n");
}

static void test_openmetrics_has_types_units_and_an_end(void **state) {
        _cleanup_(freep) char *text = write_all(EXPOSITION_OPENMETRICS);

        assert_string_equal(text, "# HELP a_bytes Bytes.\n"
                                  "# TYPE a_bytes counter\n"
                                  "# UNIT a_bytes bytes\n"
                                  "a_bytes_total 18446744073709551615\n"
                                  "# HELP b What it is.\n"
                                  "# TYPE b info\n"
                                  "b_info{x=\"1\"} 1\n"
                                  "# HELP c_state State.\n"
                                  "# TYPE c_state stateset\n"
                                  "c_state{x=\"1\",c_state=\"on\"} 1\n"
                                  "c_state{c_state=\"off\"} 0\n"
                                  "# EOF\n");
}

static void test_labels_cannot_break_out_of_their_quotes(void **state) {
        static const MetricLabel labels[] = {{"a", "x\"} 1\n\\"}, {"b", ""}, {0}};
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(metric_labels_format(labels, &text), 0);
        assert_string_equal(text, "a=\"x\\\"} 1\\n\\\\\",b=\"\"");
}

static void test_a_histogram_counts_each_duration_in_all_wider_buckets(void **state) {
        static const MetricFamily family = {"h_seconds", "seconds", "H.", METRIC_HISTOGRAM};
        static const usec_t bounds[] = {USEC_PER_SEC / 2, USEC_PER_SEC};
        _cleanup_(exposition_deinit) Exposition exposition = {.format = EXPOSITION_PROMETHEUS};
        _cleanup_(freep) char *text = NULL;
        Histogram histogram;

        histogram_init(&histogram, bounds, ELEMENTSOF(bounds));
        histogram_add(&histogram, 0);
        histogram_add(&histogram, USEC_PER_SEC / 2);
        histogram_add(&histogram, USEC_PER_SEC / 2 + 1);
        histogram_add(&histogram, 3 * USEC_PER_SEC);
        exposition_begin(&exposition, &family);
        exposition_add_histogram(&exposition, &histogram);
        assert_int_equal(exposition_finish(&exposition, &text), 0);
        assert_string_equal(text, "# HELP h_seconds H.\n"
                                  "# TYPE h_seconds histogram\n"
                                  "h_seconds_bucket{le=\"0.500000\"} 2\n"
                                  "h_seconds_bucket{le=\"1.000000\"} 3\n"
                                  "h_seconds_bucket{le=\"+Inf\"} 4\n"
                                  "h_seconds_sum 4.000001\n"
                                  "h_seconds_count 4\n");
}

static void test_times_are_in_seconds(void **state) {
        static const MetricFamily family = {"t_seconds", "seconds", "T.", METRIC_GAUGE};
        _cleanup_(exposition_deinit) Exposition exposition = {.format = EXPOSITION_PROMETHEUS};
        _cleanup_(freep) char *text = NULL;

        exposition_begin(&exposition, &family);
        exposition_add_usec(&exposition, NULL, 1000001);
        assert_int_equal(exposition_finish(&exposition, &text), 0);
        assert_non_null(strstr(text, "\nt_seconds 1.000001\n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_old_format_names_families_as_their_samples),
                cmocka_unit_test(test_openmetrics_has_types_units_and_an_end),
                cmocka_unit_test(test_labels_cannot_break_out_of_their_quotes),
                cmocka_unit_test(test_a_histogram_counts_each_duration_in_all_wider_buckets),
                cmocka_unit_test(test_times_are_in_seconds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
