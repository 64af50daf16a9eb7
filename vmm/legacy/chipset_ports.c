/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ports of a PC's chipset that only firmware looks for: system control port A, and those of system management
 * interrupts, of which there are none. Saying that writes to the APM port already raise them is how firmware is told
 * that somebody else has taken care of system management mode.
 */

#include <errno.h>
#include <pthread.h>

#include "vmm/legacy/devices.h"
#include "vmm/mem/bus_bytes.h"
#include "vmm/mem/memmap.h"

#define CONTROL_A_RESET 0x01u
#define CONTROL_A_A20 0x02u /* always open; the bit is kept */
#define CONTROL_A_WRITABLE (CONTROL_A_RESET | CONTROL_A_A20)

#define SMI_ENABLE_APM 0x20u

struct ChipsetPorts {
        pthread_mutex_t lock;
        HaltSink halt;
        uint8_t control_a;
        uint8_t apm[2]; /* command and status */
};

static uint64_t control_a_read(void *device, uint64_t offset, unsigned size) {
        return ((ChipsetPorts *) device)->control_a;
}

static void control_a_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        ChipsetPorts *ports = device;
        const bool rose = (value & CONTROL_A_RESET) && !(ports->control_a & CONTROL_A_RESET);

        ports->control_a = (uint8_t) value & CONTROL_A_WRITABLE;
        if (rose)
                halt_sink_report(&ports->halt, HALT_RESET);
}

static uint8_t apm_read_byte(void *device, unsigned offset) {
        return ((ChipsetPorts *) device)->apm[offset];
}

static void apm_write_byte(void *device, unsigned offset, uint8_t value) {
        ((ChipsetPorts *) device)->apm[offset] = value;
}

static uint64_t apm_read(void *device, uint64_t offset, unsigned size) {
        return bus_bytes_read(device, offset, size, apm_read_byte);
}

static void apm_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, apm_write_byte);
}

static uint64_t smi_read(void *device, uint64_t offset, unsigned size) {
        return SMI_ENABLE_APM >> (offset * 8);
}

static void smi_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        /* Enabling what never comes changes nothing. */
}

static const BusOps control_a_ops = {
        .name = "system-control-a", .read = control_a_read, .write = control_a_write};
static const BusOps apm_ops = {.name = "apm", .read = apm_read, .write = apm_write};
static const BusOps smi_ops = {.name = "smi-enable", .read = smi_read, .write = smi_write};

/**
 * chipset_ports_new() - ports 0x92, 0xb2, 0xb3 and SMI_EN of the power management block
 * @halt: told HALT_RESET
 *
 * Return: 0 or negative errno.
 */
int chipset_ports_new(Bus *pio, HaltSink halt, ChipsetPorts **ret) {
        _cleanup_(chipset_ports_freep) ChipsetPorts *ports = calloc(1, sizeof(*ports));
        int r;

        if (!ports)
                return -ENOMEM;
        pthread_mutex_init(&ports->lock, NULL);
        ports->halt = halt;
        ports->control_a = CONTROL_A_A20;
        r = bus_add(pio, IOPORT_SYSTEM_CONTROL_A, 1, &control_a_ops, ports, &ports->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_APM, sizeof(ports->apm), &apm_ops, ports, &ports->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_SMI_ENABLE, 4, &smi_ops, ports, /* lock= */ NULL);
        if (r < 0)
                return r;
        *ret = TAKE(ports);
        return 0;
}

/** chipset_ports_free() - release; the vCPUs have ended. Return: NULL. */
ChipsetPorts *chipset_ports_free(ChipsetPorts *ports) {
        if (!ports)
                return NULL;
        pthread_mutex_destroy(&ports->lock);
        free(ports);
        return NULL;
}
