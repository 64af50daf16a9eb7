/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The calendar of an MC146818: seconds since 1970 to and from its registers, and when an alarm next matches. */

#include <stdbool.h>
#include <stdint.h>

/* Register numbers, MC146818A data sheet; the century is where PCs keep it. */
enum {
        RTC_SECONDS = 0x00,
        RTC_SECONDS_ALARM = 0x01,
        RTC_MINUTES = 0x02,
        RTC_MINUTES_ALARM = 0x03,
        RTC_HOURS = 0x04,
        RTC_HOURS_ALARM = 0x05,
        RTC_DAY_OF_WEEK = 0x06,
        RTC_DAY_OF_MONTH = 0x07,
        RTC_MONTH = 0x08,
        RTC_YEAR = 0x09,
        RTC_A = 0x0a,
        RTC_B = 0x0b,
        RTC_C = 0x0c,
        RTC_D = 0x0d,
        RTC_CENTURY = 0x32,
};

#define RTC_B_24_HOURS 0x02u
#define RTC_B_BINARY 0x04u

void rtc_time_store(uint8_t *registers, int64_t seconds);
int64_t rtc_time_load(const uint8_t *registers);
int64_t rtc_time_next_alarm(const uint8_t *registers, int64_t after);
