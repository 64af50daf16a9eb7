/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/format.h"

#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

/** format_bytes() - "512 B", "3.2 KiB", "142.0 MiB", … */
const char *format_bytes(char buf[FORMAT_MAX], uint64_t bytes) {
        static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        double amount = (double) bytes / 1024;
        size_t unit = 0;

        if (bytes < 1024) {
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64 " B", bytes);
                return buf;
        }
        /* 1023.95 would be printed as 1024.0. */
        while (amount >= 1023.95) {
                amount /= 1024;
                unit++;
        }
        (void) snprintf(buf, FORMAT_MAX, "%.1f %s", amount, units[unit]);
        return buf;
}

/** format_timespan() - "850 us", "12.4 ms", "9.81 s", "3 min 20 s", "2 h 5 min" or "3 d 4 h" */
const char *format_timespan(char buf[FORMAT_MAX], usec_t span) {
        uint64_t s = span / USEC_PER_SEC;

        if (span < USEC_PER_MSEC)
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64 " us", span);
        else if (span < USEC_PER_SEC)
                (void) snprintf(buf, FORMAT_MAX, "%.1f ms", (double) span / USEC_PER_MSEC);
        else if (s < 60)
                (void) snprintf(buf, FORMAT_MAX, "%.2f s", (double) span / USEC_PER_SEC);
        else if (s < 3600)
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
        else if (s < 86400)
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64 " h %" PRIu64 " min", s / 3600,
                                s % 3600 / 60);
        else
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64 " d %" PRIu64 " h", s / 86400,
                                s % 86400 / 3600);
        return buf;
}

/** format_timestamp() - local time as "Fri 2026-11-20 16:37:29.123 UTC"; microseconds since 1970 */
const char *format_timestamp(char buf[FORMAT_MAX], usec_t realtime) {
        time_t seconds = (time_t) (realtime / USEC_PER_SEC);
        char date[32], zone[16];
        struct tm tm;

        if (!localtime_r(&seconds, &tm) ||
            strftime(date, sizeof(date), "%a %Y-%m-%d %H:%M:%S", &tm) == 0 ||
            strftime(zone, sizeof(zone), "%Z", &tm) == 0) {
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64 " us", realtime);
                return buf;
        }
        (void) snprintf(buf, FORMAT_MAX, "%s.%03u %s", date,
                        (unsigned) (realtime % USEC_PER_SEC / USEC_PER_MSEC), zone);
        return buf;
}

/** format_signal() - "SIGKILL (9)", or "signal 99" for one without a name */
const char *format_signal(char buf[FORMAT_MAX], int64_t signal) {
        const char *name = signal > 0 && signal < INT_MAX ? sigabbrev_np((int) signal) : NULL;

        if (name)
                (void) snprintf(buf, FORMAT_MAX, "SIG%s (%" PRIi64 ")", name, signal);
        else
                (void) snprintf(buf, FORMAT_MAX, "signal %" PRIi64, signal);
        return buf;
}

/** format_uid() - the user's name, or the number when this host knows no name for it */
const char *format_uid(char buf[FORMAT_MAX], uint64_t uid) {
        struct passwd entry, *found = NULL;
        char strings[4096];

        if (uid < UINT32_MAX &&
            getpwuid_r((uid_t) uid, &entry, strings, sizeof(strings), &found) == 0 && found)
                (void) snprintf(buf, FORMAT_MAX, "%s", found->pw_name);
        else
                (void) snprintf(buf, FORMAT_MAX, "%" PRIu64, uid);
        return buf;
}
