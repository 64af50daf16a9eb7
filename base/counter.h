/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A count that one thread at a time adds to and any thread reads, without a lock and without a locked instruction. */

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t Counter;

/** counter_add() - by the one thread that may; readers see it soon */
static inline void counter_add(Counter *counter, uint64_t n) {
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

/** counter_get() - any thread */
static inline uint64_t counter_get(const Counter *counter) {
        return atomic_load_explicit(counter, memory_order_relaxed);
}
