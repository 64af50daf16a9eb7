/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dbus/client/format.h"

static char buf[FORMAT_MAX];

static void test_bytes_have_the_unit_that_reads_best(void **state) {
        assert_string_equal(format_bytes(buf, 0), "0 B");
        assert_string_equal(format_bytes(buf, 1023), "1023 B");
        assert_string_equal(format_bytes(buf, 1024), "1.0 KiB");
        assert_string_equal(format_bytes(buf, 3355443), "3.2 MiB");
        assert_string_equal(format_bytes(buf, 1048575), "1.0 MiB");
        assert_string_equal(format_bytes(buf, UINT64_MAX), "16.0 EiB");
}

static void test_timespans_have_two_units_at_most(void **state) {
        assert_string_equal(format_timespan(buf, 0), "0 us");
        assert_string_equal(format_timespan(buf, 850), "850 us");
        assert_string_equal(format_timespan(buf, 12400), "12.4 ms");
        assert_string_equal(format_timespan(buf, 9810000), "9.81 s");
        assert_string_equal(format_timespan(buf, 200 * USEC_PER_SEC), "3 min 20 s");
        assert_string_equal(format_timespan(buf, 7500 * USEC_PER_SEC), "2 h 5 min");
        assert_string_equal(format_timespan(buf, 273600 * USEC_PER_SEC), "3 d 4 h");
}

static void test_timestamps_are_local_time_with_its_zone(void **state) {
        assert_int_equal(setenv("TZ", "UTC0", 1), 0);
        tzset();
        assert_string_equal(format_timestamp(buf, 1700000000123456),
                            "Tue 2023-11-14 22:13:20.123 UTC");
        assert_int_equal(setenv("TZ", "XYZ-2", 1), 0);
        tzset();
        assert_string_equal(format_timestamp(buf, 1700000000123456),
                            "Wed 2023-11-15 00:13:20.123 XYZ");
}

static void test_signals_have_names_where_they_have_any(void **state) {
        assert_string_equal(format_signal(buf, SIGKILL), "SIGKILL (9)");
        assert_string_equal(format_signal(buf, 63), "signal 63");
        assert_string_equal(format_signal(buf, -1), "signal -1");
        assert_string_equal(format_signal(buf, INT64_MAX), "signal 9223372036854775807");
}

static void test_users_have_names_where_they_are_known(void **state) {
        assert_string_equal(format_uid(buf, 0), "root");
        assert_string_equal(format_uid(buf, 3999999999), "3999999999");
        assert_string_equal(format_uid(buf, UINT64_MAX), "18446744073709551615");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bytes_have_the_unit_that_reads_best),
                cmocka_unit_test(test_timespans_have_two_units_at_most),
                cmocka_unit_test(test_timestamps_are_local_time_with_its_zone),
                cmocka_unit_test(test_signals_have_names_where_they_have_any),
                cmocka_unit_test(test_users_have_names_where_they_are_known),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
