/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Time in microseconds. */

#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_PER_SEC ((usec_t) 1000000)
#define USEC_PER_MSEC ((usec_t) 1000)
#define NSEC_PER_USEC ((uint64_t) 1000)
#define NSEC_PER_MSEC ((uint64_t) 1000000)
#define NSEC_PER_SEC ((uint64_t) 1000000000)

usec_t clock_realtime_usec(void);
usec_t clock_monotonic_usec(void);
uint64_t clock_monotonic_nsec(void);
