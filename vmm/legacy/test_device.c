/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ports that test programs for x86 processors expect of the machine they run on, as QEMU's isa-debug-exit and
 * pc-testdev have them, and the two numbers that such programs ask its firmware configuration for. Only on request:
 * no production guest has any use for them.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

#define IORAM_BYTES 4u
#define ACCESS_MAX 4u      /* bytes of the widest port access */
#define FW_CFG_SELECTOR 0u /* offsets of the two ports */
#define FW_CFG_DATA 1u
#define FW_CFG_RAM_SIZE 0x03u
#define FW_CFG_NB_CPUS 0x05u
#define FW_CFG_MAX_CPUS 0x0fu

struct TestDevice {
        pthread_mutex_t lock;
        HaltSink halt;
        atomic_uint exit_value;
        uint8_t ioram[IORAM_BYTES];
        IrqLine lines[GSI_COUNT];
        unsigned n_vcpus;
        uint64_t ram_bytes;
        uint16_t fw_cfg_key;
        unsigned fw_cfg_offset; /* of the next byte of the value */
        uint8_t iomem[MEMMAP_TEST_IOMEM_SIZE];
};

static uint64_t exit_read(void *device, uint64_t offset, unsigned size) {
        return 0;
}

static void exit_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        TestDevice *test = device;

        atomic_store(&test->exit_value, (unsigned) value);
        halt_sink_report(&test->halt, HALT_TEST_EXIT);
}

static uint64_t bytes_load(const uint8_t *bytes, unsigned size) {
        uint64_t value = 0;

        memcpy(&value, bytes, size);
        return value;
}

/* Ports and memory that keep what is written, so that programs can see their accesses arrive. */
static uint64_t ioram_read(void *device, uint64_t offset, unsigned size) {
        const TestDevice *test = device;

        return bytes_load(test->ioram + offset, size);
}

static void ioram_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        TestDevice *test = device;

        memcpy(test->ioram + offset, &value, size);
}

static uint64_t iomem_read(void *device, uint64_t offset, unsigned size) {
        const TestDevice *test = device;

        return bytes_load(test->iomem + offset, size);
}

static void iomem_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        TestDevice *test = device;

        memcpy(test->iomem + offset, &value, size);
}

/* QEMU takes the page at the written address from the guest for a moment; the guest cannot tell, and we need not. */
static uint64_t flush_read(void *device, uint64_t offset, unsigned size) {
        return 0;
}

static void flush_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
}

static uint64_t lines_read(void *device, uint64_t offset, unsigned size) {
        return 0;
}

/* Port n drives interrupt line n, with an access of any size; a wide one may reach past the last port. */
static void lines_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        TestDevice *test = device;

        if (offset < GSI_COUNT)
                irq_line_set(&test->lines[offset], value != 0);
}

static uint64_t fw_cfg_value(const TestDevice *test) {
        switch (test->fw_cfg_key) {
        case FW_CFG_RAM_SIZE:
                return test->ram_bytes;
        case FW_CFG_NB_CPUS:
        case FW_CFG_MAX_CPUS:
                return test->n_vcpus;
        default:
                return 0;
        }
}

static uint64_t fw_cfg_read(void *device, uint64_t offset, unsigned size) {
        TestDevice *test = device;

        if (offset != FW_CFG_DATA || size != 1 || test->fw_cfg_offset >= sizeof(uint64_t))
                return 0;
        return fw_cfg_value(test) >> (test->fw_cfg_offset++ * 8) & 0xff;
}

static void fw_cfg_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        TestDevice *test = device;

        if (offset != FW_CFG_SELECTOR)
                return;
        test->fw_cfg_key = (uint16_t) value;
        test->fw_cfg_offset = 0;
}

static const BusOps exit_ops = {.name = "test-exit", .read = exit_read, .write = exit_write};
static const BusOps ioram_ops = {.name = "test-ioram", .read = ioram_read, .write = ioram_write};
static const BusOps iomem_ops = {.name = "test-iomem", .read = iomem_read, .write = iomem_write};
static const BusOps flush_ops = {.name = "test-flush", .read = flush_read, .write = flush_write};
static const BusOps lines_ops = {.name = "test-lines", .read = lines_read, .write = lines_write};
static const BusOps fw_cfg_ops = {.name = "fw-cfg", .read = fw_cfg_read, .write = fw_cfg_write};

static int add_ports(TestDevice *test, Bus *pio) {
        const struct {
                uint16_t base, size;
                const BusOps *ops;
        } ports[] = {
                {IOPORT_TEST_IORAM, IORAM_BYTES, &ioram_ops},
                {IOPORT_TEST_FLUSH, ACCESS_MAX, &flush_ops},
                {IOPORT_TEST_EXIT, ACCESS_MAX, &exit_ops},
                {IOPORT_TEST_FW_CFG, 2, &fw_cfg_ops},
                {IOPORT_TEST_LINES, GSI_COUNT + ACCESS_MAX - 1, &lines_ops},
        };

        for (size_t i = 0; i < ELEMENTSOF(ports); i++) {
                int r = bus_add(pio, ports[i].base, ports[i].size, ports[i].ops, test, &test->lock);

                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * test_device_new() - the ports of memmap.h's IOPORT_TEST_*, and memory at MEMMAP_TEST_IOMEM_BASE
 * @config: copied; lines that are not connected are not driven
 * @halt:   told HALT_TEST_EXIT
 *
 * Return: 0 or negative errno.
 */
int test_device_new(Bus *pio, Bus *mmio, const TestDeviceConfig *config, HaltSink halt,
                    TestDevice **ret) {
        _cleanup_(test_device_freep) TestDevice *test = calloc(1, sizeof(*test));
        int r;

        if (!test)
                return -ENOMEM;
        pthread_mutex_init(&test->lock, NULL);
        test->halt = halt;
        test->n_vcpus = config->n_vcpus;
        test->ram_bytes = config->ram_bytes;
        memcpy(test->lines, config->lines, sizeof(test->lines));
        r = add_ports(test, pio);
        if (r < 0)
                return r;
        r = bus_add(mmio, MEMMAP_TEST_IOMEM_BASE, MEMMAP_TEST_IOMEM_SIZE, &iomem_ops, test,
                    &test->lock);
        if (r < 0)
                return r;
        *ret = TAKE(test);
        return 0;
}

/** test_device_free() - release; the vCPUs have ended. Return: NULL. */
TestDevice *test_device_free(TestDevice *test) {
        if (!test)
                return NULL;
        pthread_mutex_destroy(&test->lock);
        free(test);
        return NULL;
}

/** test_device_status() - the exit status that the guest asked for: value v of the exit port gives 2 v + 1 */
int test_device_status(const TestDevice *test) {
        return (int) ((atomic_load(&test->exit_value) << 1 | 1) & 0xff);
}
