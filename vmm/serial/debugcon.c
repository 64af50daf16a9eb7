/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/serial/debugcon.h"

#define DEBUGCON_PRESENT 0xe9u

static uint64_t debugcon_read(void *device, uint64_t offset, unsigned size) {
        return DEBUGCON_PRESENT;
}

static void debugcon_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        const uint8_t byte = (uint8_t) value;

        char_write(device, &byte, 1);
}

static const BusOps debugcon_ops = {
        .name = "debugcon", .read = debugcon_read, .write = debugcon_write};

/**
 * debugcon_add() - take over @port
 * @chardev: gets the output; borrowed, outlives the vCPUs' last access
 *
 * Return: 0, or what bus_add() says: -EEXIST for a port that is another device's.
 */
int debugcon_add(Bus *pio, uint16_t port, CharDev *chardev) {
        return bus_add(pio, port, 1, &debugcon_ops, chardev, /* lock= */ NULL);
}
