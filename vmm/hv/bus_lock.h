/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How many bus locks the processors of a partition may make together. A locked operation on memory that lies in two cache
 * lines stops the bus for every processor of the host, so that a guest that makes many slows down its neighbours.
 *
 * A second begins with the first bus lock after the second before. Who makes the last one that it allows rests until its
 * end; what others make nevertheless, who were not resting, makes it longer.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct BusLockLimit {
        pthread_mutex_t lock;
        uint64_t allowed;              /* in a window, 0: any number; as it was at first */
        uint64_t window_nsec;          /* a second */
        uint64_t begin_nsec, end_nsec; /* of the window at hand */
        uint64_t made;                 /* in it */
} BusLockLimit;

void bus_lock_limit_init(BusLockLimit *limit, uint32_t per_sec);
void bus_lock_limit_deinit(BusLockLimit *limit);
uint64_t bus_lock_limit_add(BusLockLimit *limit, uint64_t now_nsec, uint64_t n);

/** bus_lock_limit_is_on() - whether bus locks are counted at all; any thread */
static inline bool bus_lock_limit_is_on(const BusLockLimit *limit) {
        return limit->allowed != 0;
}
