/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hv/bus_lock.h"

#include "base/clock.h"

/** bus_lock_limit_init() - @per_sec: how many a second, 0: any number */
void bus_lock_limit_init(BusLockLimit *limit, uint32_t per_sec) {
        *limit = (BusLockLimit){.allowed = per_sec, .window_nsec = NSEC_PER_SEC};
        pthread_mutex_init(&limit->lock, NULL);
}

/** bus_lock_limit_deinit() - when no processor uses it any more */
void bus_lock_limit_deinit(BusLockLimit *limit) {
        pthread_mutex_destroy(&limit->lock);
}

/**
 * bus_lock_limit_add() - a processor made @n bus locks
 * @limit:    that is on
 * @now_nsec: of a clock that all processors share and that never goes back
 *
 * On any thread. Return: when on that clock the processor may go on; 0 for at once.
 */
uint64_t bus_lock_limit_add(BusLockLimit *limit, uint64_t now_nsec, uint64_t n) {
        uint64_t until = 0;

        pthread_mutex_lock(&limit->lock);
        if (now_nsec >= limit->end_nsec) {
                limit->begin_nsec = now_nsec;
                limit->end_nsec = now_nsec + limit->window_nsec;
                limit->made = 0;
        }
        limit->made += n;
        if (limit->made >= limit->allowed)
                until = limit->end_nsec =
                        limit->begin_nsec + limit->made / limit->allowed * limit->window_nsec;
        pthread_mutex_unlock(&limit->lock);
        return until;
}
