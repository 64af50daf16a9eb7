/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Address-to-device dispatch for memory-mapped and port I/O. Regions are added while the board is built and never
 * change afterwards, so that vCPU threads look up without a lock; what moves at run time (PCI BARs) sits behind one
 * fixed window whose owner dispatches further.
 */

#include <pthread.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct Bus Bus;

/* Implemented per device; called on vCPU threads, under the region's lock if it has one; must not block. */
typedef struct BusOps {
        const char *name;
        /* @size is 1, 2, 4 or 8; the value comes back in the low bytes. */
        uint64_t (*read)(void *device, uint64_t offset, unsigned size);
        void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
} BusOps;

int bus_new(const char *name, Bus **ret);
Bus *bus_free(Bus *bus);
DEFINE_CLEANUP(Bus *, bus_free)

int bus_add(Bus *bus, uint64_t base, uint64_t size, const BusOps *ops, void *device,
            pthread_mutex_t *lock);
uint64_t bus_read(Bus *bus, uint64_t address, unsigned size);
void bus_write(Bus *bus, uint64_t address, unsigned size, uint64_t value);
