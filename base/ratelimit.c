/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ratelimit.h"

/**
 * ratelimit_allow() - whether one more line may pass at @now_usec
 *
 * Not thread-safe: the owner's lock covers it. Return: true when the line may be printed.
 */
bool ratelimit_allow(RateLimit *limit, usec_t now_usec) {
        if (limit->begin_usec == 0 || now_usec - limit->begin_usec >= limit->interval_usec) {
                limit->begin_usec = now_usec;
                limit->used = 0;
        }
        if (limit->used >= limit->burst) {
                limit->dropped++;
                return false;
        }
        limit->used++;
        limit->dropped = 0;
        return true;
}
