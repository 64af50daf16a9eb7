/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

static uint64_t post_port_read(void *device, uint64_t offset, unsigned size) {
        return UINT64_MAX;
}

static void post_port_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        /* Kernels write here because it takes a real bus a microsecond; nobody wants to know what. */
}

static const BusOps post_port_ops = {
        .name = "post-port",
        .read = post_port_read,
        .write = post_port_write,
};

/** post_port_add() - claim port 0x80 and throw away what is written there. Return: 0 or negative errno. */
int post_port_add(Bus *pio) {
        return bus_add(pio, IOPORT_DEBUG_POST, 1, &post_port_ops, NULL, /* lock= */ NULL);
}
