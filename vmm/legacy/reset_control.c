/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>

#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

/* Reset Control Register of Intel's chipsets; the FADT's RESET_REG names it. */

#define RESET_CPU 0x04u      /* a rise resets */
#define RESET_WRITABLE 0x0eu /* kind of reset, RESET_CPU, full reset */

struct ResetControl {
        pthread_mutex_t lock;
        HaltSink halt;
        uint8_t value;
};

static uint64_t reset_control_read(void *device, uint64_t offset, unsigned size) {
        return ((ResetControl *) device)->value;
}

static void reset_control_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        ResetControl *reset = device;
        bool rose = (value & RESET_CPU) && !(reset->value & RESET_CPU);

        reset->value = (uint8_t) value & RESET_WRITABLE;
        if (rose)
                halt_sink_report(&reset->halt, HALT_RESET);
}

static const BusOps reset_control_ops = {
        .name = "reset-control",
        .read = reset_control_read,
        .write = reset_control_write,
};

/**
 * reset_control_new() - the register at port 0xcf9, which lies inside PCI's address register: only byte accesses
 * are meant for it
 * @halt: told HALT_RESET
 *
 * Return: 0 or negative errno.
 */
int reset_control_new(Bus *pio, HaltSink halt, ResetControl **ret) {
        _cleanup_(reset_control_freep) ResetControl *reset = calloc(1, sizeof(*reset));
        int r;

        if (!reset)
                return -ENOMEM;
        pthread_mutex_init(&reset->lock, NULL);
        reset->halt = halt;
        r = bus_add(pio, IOPORT_RESET_CONTROL, 1, &reset_control_ops, reset, &reset->lock);
        if (r < 0)
                return r;
        *ret = TAKE(reset);
        return 0;
}

/** reset_control_free() - release; the vCPUs have ended. Return: NULL. */
ResetControl *reset_control_free(ResetControl *reset) {
        if (!reset)
                return NULL;
        pthread_mutex_destroy(&reset->lock);
        free(reset);
        return NULL;
}

/** reset_control_snapshot() - save or restore */
void reset_control_snapshot(ResetControl *reset, Snapshot *s) {
        pthread_mutex_lock(&reset->lock);
        snapshot_enter(s, "reset-control", 0);
        snapshot_u8(s, &reset->value);
        snapshot_leave(s);
        reset->value &= RESET_WRITABLE;
        pthread_mutex_unlock(&reset->lock);
}
