/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>

#include "base/log.h"
#include "base/ratelimit.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

/*
 * The pvpanic interface as Linux and QEMU document it: a read gives the events that may be reported, a write reports
 * them. A guest with a crash kernel loaded says so instead of panicking for good: that one is allowed to go on.
 */

#define PVPANIC_PANICKED 0x01u
#define PVPANIC_CRASH_LOADED 0x02u

struct Pvpanic {
        pthread_mutex_t lock;
        HaltSink halt;
        RateLimit limit;
};

static uint64_t pvpanic_read(void *device, uint64_t offset, unsigned size) {
        return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        Pvpanic *pvpanic = device;

        if (value & PVPANIC_PANICKED)
                halt_sink_report(&pvpanic->halt, HALT_GUEST_PANIC);
        else if ((value & PVPANIC_CRASH_LOADED) &&
                 ratelimit_allow(&pvpanic->limit, clock_monotonic_usec()))
                log_notice("guest panicked and continues with its crash kernel");
}

static const BusOps pvpanic_ops = {.name = "pvpanic", .read = pvpanic_read, .write = pvpanic_write};

/**
 * pvpanic_new() - the device at IOPORT_PVPANIC
 * @halt: told HALT_GUEST_PANIC
 *
 * Return: 0 or negative errno.
 */
int pvpanic_new(Bus *pio, HaltSink halt, Pvpanic **ret) {
        _cleanup_(pvpanic_freep) Pvpanic *pvpanic = calloc(1, sizeof(*pvpanic));
        int r;

        if (!pvpanic)
                return -ENOMEM;
        pthread_mutex_init(&pvpanic->lock, NULL);
        pvpanic->halt = halt;
        pvpanic->limit = RATELIMIT_DEFAULT;
        r = bus_add(pio, IOPORT_PVPANIC, 1, &pvpanic_ops, pvpanic, &pvpanic->lock);
        if (r < 0)
                return r;
        *ret = TAKE(pvpanic);
        return 0;
}

/** pvpanic_free() - release; the vCPUs have ended. Return: NULL. */
Pvpanic *pvpanic_free(Pvpanic *pvpanic) {
        if (!pvpanic)
                return NULL;
        pthread_mutex_destroy(&pvpanic->lock);
        free(pvpanic);
        return NULL;
}
