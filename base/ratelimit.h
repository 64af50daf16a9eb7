/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A budget for messages that a guest or client can trigger at will. */

#include <stdbool.h>

#include "base/clock.h"

typedef struct RateLimit {
        usec_t interval_usec; /* window length */
        unsigned burst;       /* lines let through per window */
        usec_t begin_usec;    /* start of the current window, 0 before the first use */
        unsigned used;        /* lines let through in this window */
        unsigned dropped;     /* lines refused since the last one let through */
} RateLimit;

#define RATELIMIT_DEFAULT ((RateLimit){.interval_usec = 10 * USEC_PER_SEC, .burst = 5})

bool ratelimit_allow(RateLimit *limit, usec_t now_usec);
