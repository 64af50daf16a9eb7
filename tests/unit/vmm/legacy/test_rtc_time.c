/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "vmm/legacy/rtc_time.h"

static void reset(uint8_t *registers, uint8_t form) {
        memset(registers, 0, 128);
        registers[RTC_B] = form;
}

static void test_a_known_moment_is_shown_in_bcd(void **state) {
        uint8_t registers[128];

        reset(registers, RTC_B_24_HOURS);
        rtc_time_store(registers, 1709209845); /* Thu 2024-02-29 12:30:45 */
        assert_int_equal(registers[RTC_CENTURY], 0x20);
        assert_int_equal(registers[RTC_YEAR], 0x24);
        assert_int_equal(registers[RTC_MONTH], 0x02);
        assert_int_equal(registers[RTC_DAY_OF_MONTH], 0x29);
        assert_int_equal(registers[RTC_DAY_OF_WEEK], 5);
        assert_int_equal(registers[RTC_HOURS], 0x12);
        assert_int_equal(registers[RTC_MINUTES], 0x30);
        assert_int_equal(registers[RTC_SECONDS], 0x45);
}

static void test_every_form_comes_back_as_it_went_in(void **state) {
        static const uint8_t forms[] = {0, RTC_B_24_HOURS, RTC_B_BINARY,
                                        RTC_B_BINARY | RTC_B_24_HOURS};
        uint8_t registers[128];

        for (unsigned i = 0; i < sizeof(forms); i++) {
                reset(registers, forms[i]);
                /* Steps of a day and an odd bit, up to the year 9999. */
                for (int64_t t = 0; t < INT64_C(253402300800); t += 86400 * 37 + 3661) {
                        rtc_time_store(registers, t);
                        assert_true(rtc_time_load(registers) == t);
                }
        }
}

static void test_dates_agree_with_the_c_library(void **state) {
        uint8_t registers[128];

        reset(registers, RTC_B_24_HOURS | RTC_B_BINARY);
        for (int64_t t = 1; t < INT64_C(8000000000); t += 86400 * 29 + 7919) {
                time_t time = t;
                struct tm tm;

                assert_non_null(gmtime_r(&time, &tm));
                rtc_time_store(registers, t);
                assert_int_equal(registers[RTC_CENTURY] * 100 + registers[RTC_YEAR],
                                 tm.tm_year + 1900);
                assert_int_equal(registers[RTC_MONTH], tm.tm_mon + 1);
                assert_int_equal(registers[RTC_DAY_OF_MONTH], tm.tm_mday);
                assert_int_equal(registers[RTC_DAY_OF_WEEK], tm.tm_wday + 1);
                assert_int_equal(registers[RTC_HOURS], tm.tm_hour);
        }
}

static void test_twelve_hour_mode_has_no_hour_zero(void **state) {
        uint8_t registers[128];

        reset(registers, 0);
        rtc_time_store(registers, 0);
        assert_int_equal(registers[RTC_HOURS], 0x12);
        rtc_time_store(registers, 12 * 3600);
        assert_int_equal(registers[RTC_HOURS], 0x92);
        rtc_time_store(registers, 13 * 3600);
        assert_int_equal(registers[RTC_HOURS], 0x81);
}

static void test_nonsense_in_the_registers_is_some_time(void **state) {
        uint8_t registers[128];

        for (unsigned fill = 0; fill < 256; fill++)
                for (unsigned form = 0; form < 8; form++) {
                        memset(registers, (int) fill, sizeof(registers));
                        registers[RTC_B] = (uint8_t) form;
                        assert_in_range(rtc_time_load(registers) + INT64_C(100000000000), 0,
                                        INT64_C(1000000000000));
                }
        rtc_time_store(registers, INT64_MIN);
        rtc_time_store(registers, INT64_MAX);
}

static void test_an_alarm_matches_later_today_or_tomorrow(void **state) {
        uint8_t registers[128];

        reset(registers, RTC_B_24_HOURS);
        registers[RTC_HOURS_ALARM] = 0x06;
        registers[RTC_MINUTES_ALARM] = 0x30;
        registers[RTC_SECONDS_ALARM] = 0x15;
        assert_true(rtc_time_next_alarm(registers, 0) == 6 * 3600 + 30 * 60 + 15);
        assert_true(rtc_time_next_alarm(registers, 6 * 3600 + 30 * 60 + 15) ==
                    86400 + 6 * 3600 + 30 * 60 + 15);
}

static void test_an_alarm_may_leave_fields_open(void **state) {
        uint8_t registers[128];

        reset(registers, RTC_B_24_HOURS);
        registers[RTC_HOURS_ALARM] = 0xff;
        registers[RTC_MINUTES_ALARM] = 0xc0;
        registers[RTC_SECONDS_ALARM] = 0x15;
        assert_true(rtc_time_next_alarm(registers, 100000) == 100035);
        registers[RTC_SECONDS_ALARM] = 0xff;
        assert_true(rtc_time_next_alarm(registers, 100000) == 100001);
        registers[RTC_MINUTES_ALARM] = 0x00;
        assert_true(rtc_time_next_alarm(registers, 100000) == 100800);
}

static void test_an_alarm_that_cannot_match_never_does(void **state) {
        uint8_t registers[128];

        reset(registers, RTC_B_24_HOURS);
        registers[RTC_HOURS_ALARM] = 0x24;
        assert_true(rtc_time_next_alarm(registers, 0) == INT64_MAX);
        registers[RTC_HOURS_ALARM] = 0x23;
        registers[RTC_SECONDS_ALARM] = 0x60;
        assert_true(rtc_time_next_alarm(registers, 0) == INT64_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_known_moment_is_shown_in_bcd),
                cmocka_unit_test(test_every_form_comes_back_as_it_went_in),
                cmocka_unit_test(test_dates_agree_with_the_c_library),
                cmocka_unit_test(test_twelve_hour_mode_has_no_hour_zero),
                cmocka_unit_test(test_nonsense_in_the_registers_is_some_time),
                cmocka_unit_test(test_an_alarm_matches_later_today_or_tomorrow),
                cmocka_unit_test(test_an_alarm_may_leave_fields_open),
                cmocka_unit_test(test_an_alarm_that_cannot_match_never_does),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
