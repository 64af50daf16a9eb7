/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

static uint64_t clock_nsec(clockid_t id) {
        struct timespec ts = {0};

        (void) clock_gettime(id, &ts); /* cannot fail for the two clocks used here */
        return (uint64_t) ts.tv_sec * NSEC_PER_SEC + (uint64_t) ts.tv_nsec;
}

/** clock_realtime_usec() - wall clock, microseconds since 1970 */
usec_t clock_realtime_usec(void) {
        return clock_nsec(CLOCK_REALTIME) / NSEC_PER_USEC;
}

/** clock_monotonic_usec() - microseconds since an arbitrary start, never backwards */
usec_t clock_monotonic_usec(void) {
        return clock_nsec(CLOCK_MONOTONIC) / NSEC_PER_USEC;
}

/** clock_monotonic_nsec() - the same clock in nanoseconds, the time base of guest devices */
uint64_t clock_monotonic_nsec(void) {
        return clock_nsec(CLOCK_MONOTONIC);
}
