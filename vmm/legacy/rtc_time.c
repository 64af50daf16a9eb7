/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/legacy/rtc_time.h"

#define SECONDS_PER_DAY INT64_C(86400)
#define HOUR_PM 0x80u   /* in 12-hour mode */
#define ALARM_ANY 0xc0u /* an alarm register with both top bits set matches every value */
#define ALARM_NEVER INT64_MAX

static uint8_t encode(const uint8_t *registers, unsigned value) {
        if (registers[RTC_B] & RTC_B_BINARY)
                return (uint8_t) value;
        return (uint8_t) (value / 10 % 10 << 4 | value % 10);
}

static unsigned decode(const uint8_t *registers, uint8_t value) {
        return registers[RTC_B] & RTC_B_BINARY ? value : (value >> 4) * 10u + (value & 15u);
}

static uint8_t encode_hour(const uint8_t *registers, unsigned hour) {
        if (registers[RTC_B] & RTC_B_24_HOURS)
                return encode(registers, hour);
        return encode(registers, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const uint8_t *registers, uint8_t value) {
        if (registers[RTC_B] & RTC_B_24_HOURS)
                return decode(registers, value);
        return decode(registers, value & 0x7f) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Days since 1970-01-01 of a date in the Gregorian calendar; @month and @day may lie outside their range. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day) {
        /* Years that begin in March put the leap day last. */
        int64_t months = year * 12 + month - 3, y = months / 12, m = months % 12;

        return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/**
 * rtc_time_store() - write the date and time of @seconds into the clock registers
 * @registers: at least up to RTC_CENTURY; RTC_B says in which form
 * @seconds:   since 1970, UTC; clamped to the years 1970 to 9999
 */
void rtc_time_store(uint8_t *registers, int64_t seconds) {
        int64_t days, second_of_day, era_day, year;
        unsigned month, day;

        if (seconds < 0)
                seconds = 0;
        if (seconds > INT64_C(253402300799)) /* 9999-12-31 23:59:59 */
                seconds = INT64_C(253402300799);
        days = seconds / SECONDS_PER_DAY;
        second_of_day = seconds % SECONDS_PER_DAY;

        /* Count from March of year 0; the year is the last one whose first day is not after @days. */
        era_day = days + 719468;
        year = era_day * 400 / 146097 + 1;
        while (days_from_date(year, 3, 1) > days)
                year--;
        era_day = days - days_from_date(year, 3, 1);
        month = (unsigned) ((5 * era_day + 2) / 153);
        day = (unsigned) (era_day - (153 * month + 2) / 5) + 1;
        month += 3;
        if (month > 12) {
                month -= 12;
                year++;
        }

        registers[RTC_SECONDS] = encode(registers, (unsigned) (second_of_day % 60));
        registers[RTC_MINUTES] = encode(registers, (unsigned) (second_of_day / 60 % 60));
        registers[RTC_HOURS] = encode_hour(registers, (unsigned) (second_of_day / 3600));
        registers[RTC_DAY_OF_WEEK] = encode(registers, (unsigned) ((days + 4) % 7) + 1);
        registers[RTC_DAY_OF_MONTH] = encode(registers, day);
        registers[RTC_MONTH] = encode(registers, month);
        registers[RTC_YEAR] = encode(registers, (unsigned) (year % 100));
        registers[RTC_CENTURY] = encode(registers, (unsigned) (year / 100));
}

/**
 * rtc_time_load() - the seconds since 1970 that the clock registers show
 *
 * Values outside their range carry over, as in timegm(): whatever a guest wrote is some time. The day of the week
 * follows the date.
 */
int64_t rtc_time_load(const uint8_t *registers) {
        int64_t year = decode(registers, registers[RTC_CENTURY]) * INT64_C(100) +
                       decode(registers, registers[RTC_YEAR]);
        int64_t days = days_from_date(year, decode(registers, registers[RTC_MONTH]),
                                      decode(registers, registers[RTC_DAY_OF_MONTH]));

        return days * SECONDS_PER_DAY +
               decode_hour(registers, registers[RTC_HOURS]) * INT64_C(3600) +
               decode(registers, registers[RTC_MINUTES]) * INT64_C(60) +
               decode(registers, registers[RTC_SECONDS]);
}

static bool alarm_matches(uint8_t raw, unsigned wanted, unsigned value) {
        return (raw & ALARM_ANY) == ALARM_ANY || wanted == value;
}

/**
 * rtc_time_next_alarm() - the first second later than @after at which hour, minute and second match the alarm
 *
 * Return: seconds since 1970, or INT64_MAX when the registers hold a time of day that does not exist.
 */
int64_t rtc_time_next_alarm(const uint8_t *registers, int64_t after) {
        uint8_t raw_h = registers[RTC_HOURS_ALARM], raw_m = registers[RTC_MINUTES_ALARM],
                raw_s = registers[RTC_SECONDS_ALARM];
        unsigned h = decode_hour(registers, raw_h), m = decode(registers, raw_m),
                 s = decode(registers, raw_s);
        int64_t t = after + 1;

        /* Skips whole hours, then minutes, then seconds: at most 25 + 60 + 60 rounds and one more of each. */
        for (unsigned round = 0; round < 300; round++) {
                int64_t second_of_day = ((t % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY;

                if (!alarm_matches(raw_h, h, (unsigned) (second_of_day / 3600)))
                        t += 3600 - second_of_day % 3600;
                else if (!alarm_matches(raw_m, m, (unsigned) (second_of_day / 60 % 60)))
                        t += 60 - second_of_day % 60;
                else if (!alarm_matches(raw_s, s, (unsigned) (second_of_day % 60)))
                        t++;
                else
                        return t;
        }
        return ALARM_NEVER;
}
