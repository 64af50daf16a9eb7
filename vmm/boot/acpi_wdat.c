/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The watchdog action table (Microsoft, "Hardware Watchdog Timers Design Specification"): how to do with the board's
 * watchdog whatever a system may want to do, one register access an action. Debian's kernel has no driver for any of
 * the chips that hypervisors like to model, but drives every watchdog that this table describes.
 */

#include "vmm/boot/acpi.h"
#include "vmm/mem/memmap.h"

typedef struct __attribute__((packed)) AcpiWdat {
        uint32_t header_size; /* of this structure up to @n_entries */
        uint16_t pci_segment; /* 0xff here and in the next three: not a PCI device */
        uint8_t pci_bus, pci_device, pci_function, reserved0[3];
        uint32_t period_msec, count_max, count_min;
        uint8_t flags, reserved1[3];
        uint32_t n_entries;
} AcpiWdat;

#define WDAT_NOT_PCI 0xffu
#define WDAT_ENABLED 0x01u

typedef struct __attribute__((packed)) WdatEntry {
        uint8_t action, instruction;
        uint16_t reserved;
        uint8_t space, bit_width, bit_offset, access_size; /* generic address structure */
        uint64_t address;
        uint32_t value, mask;
} WdatEntry;

/* Actions. */
#define WDAT_PING 1u
#define WDAT_GET_CURRENT 4u
#define WDAT_GET_COUNTDOWN 5u
#define WDAT_SET_COUNTDOWN 6u
#define WDAT_IS_RUNNING 8u
#define WDAT_START 9u
#define WDAT_IS_STOPPED 10u
#define WDAT_STOP 11u
#define WDAT_HAS_FIRED 32u
#define WDAT_CLEAR_FIRED 33u

/* Instructions. Reading a value compares it with that of the entry; a count is what the action gives or takes. */
#define WDAT_READ_VALUE 0u
#define WDAT_READ_COUNT 1u
#define WDAT_WRITE_VALUE 2u
#define WDAT_WRITE_COUNT 3u

#define WDAT_ENTRY(what, how, reg, val, bits)                                                      \
        {                                                                                          \
                .action = (what), .instruction = (how), .space = 1 /* ports */, .bit_width = 32,   \
                .access_size = 3 /* 32 bits */, .address = IOPORT_WATCHDOG + (reg),                \
                .value = (val), .mask = (bits)                                                     \
        }

static const WdatEntry wdat_entries[] = {
        WDAT_ENTRY(WDAT_PING, WDAT_WRITE_VALUE, WATCHDOG_REG_CURRENT, 1, 1),
        WDAT_ENTRY(WDAT_GET_CURRENT, WDAT_READ_COUNT, WATCHDOG_REG_CURRENT, 0, 0xffffffff),
        WDAT_ENTRY(WDAT_GET_COUNTDOWN, WDAT_READ_COUNT, WATCHDOG_REG_COUNTDOWN, 0, 0xffffffff),
        WDAT_ENTRY(WDAT_SET_COUNTDOWN, WDAT_WRITE_COUNT, WATCHDOG_REG_COUNTDOWN, 0, 0xffffffff),
        WDAT_ENTRY(WDAT_IS_RUNNING, WDAT_READ_VALUE, WATCHDOG_REG_CONTROL, 1, 1),
        WDAT_ENTRY(WDAT_START, WDAT_WRITE_VALUE, WATCHDOG_REG_CONTROL, 1, 1),
        WDAT_ENTRY(WDAT_IS_STOPPED, WDAT_READ_VALUE, WATCHDOG_REG_CONTROL, 0, 1),
        WDAT_ENTRY(WDAT_STOP, WDAT_WRITE_VALUE, WATCHDOG_REG_CONTROL, 0, 1),
        WDAT_ENTRY(WDAT_HAS_FIRED, WDAT_READ_VALUE, WATCHDOG_REG_STATUS, 1, 1),
        WDAT_ENTRY(WDAT_CLEAR_FIRED, WDAT_WRITE_VALUE, WATCHDOG_REG_STATUS, 1, 1),
};

/** acpi_build_wdat() - the whole table; memory failures stick in @table */
void acpi_build_wdat(StrBuf *table) {
        const AcpiWdat wdat = {
                .header_size = sizeof(wdat),
                .pci_segment = WDAT_NOT_PCI,
                .pci_bus = WDAT_NOT_PCI,
                .pci_device = WDAT_NOT_PCI,
                .pci_function = WDAT_NOT_PCI,
                .period_msec = WATCHDOG_PERIOD_MSEC,
                .count_max = WATCHDOG_COUNT_MAX,
                .count_min = WATCHDOG_COUNT_MIN,
                .flags = WDAT_ENABLED,
                .n_entries = ELEMENTSOF(wdat_entries),
        };

        acpi_begin_table(table, "WDAT", 1);
        strbuf_append_bytes(table, &wdat, sizeof(wdat));
        strbuf_append_bytes(table, wdat_entries, sizeof(wdat_entries));
        acpi_end_table(table);
}
