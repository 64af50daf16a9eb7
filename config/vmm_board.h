/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The typed form of the options that say what the board is like: its tables, its address map, what is on it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/text_error.h"

#define VMM_ACPI_TABLES_MAX 8u
#define VMM_MMIO_RANGES_MAX 8u
#define VMM_STUBS_MAX 8u
#define VMM_PCI_SLOT_MAX 31u

/* --smbios: what the machine calls itself; NULL: what the VMM says by itself. All are owned. */
typedef struct VmmSmbios {
        char *bios_vendor, *bios_version;
        char *manufacturer, *product_name, *serial_number;
        uint8_t uuid[16]; /* in the order of its text; all zero: none */
} VmmSmbios;

/* Addresses [@start, @start + @size); size 0: not given. */
typedef struct VmmRange {
        uint64_t start, size;
} VmmRange;

/* --stub-pci-device: a function of the bus that has nothing but its identity. */
typedef struct VmmStub {
        unsigned slot; /* 1..VMM_PCI_SLOT_MAX */
        uint16_t vendor, device, subsystem_vendor, subsystem;
        uint32_t class_code; /* 24 bits */
        uint8_t revision;
} VmmStub;

typedef struct VmmBoard {
        VmmSmbios smbios;
        StrVec acpi_tables; /* paths */
        bool no_rtc, no_i8042;
        bool s2idle;          /* the firmware recommends suspend-to-idle */
        bool no_virtio_intx;  /* virtio devices have messages alone */
        bool no_config_ports; /* configuration space is at ECAM alone */
        bool no_pmu;
        bool nested;
        bool tsc_leaf;              /* CPUID says how fast the TSC is */
        uint32_t bus_locks_per_sec; /* 0: any number */

        VmmRange pci_mem;                          /* the window below 4 GiB */
        VmmRange pci_ecam;                         /* configuration space */
        VmmRange mmio_ranges[VMM_MMIO_RANGES_MAX]; /* windows are in these; none: anywhere */
        size_t n_mmio_ranges;
        unsigned hotplug_slots; /* that must be left free */
        VmmStub stubs[VMM_STUBS_MAX];
        size_t n_stubs;
} VmmBoard;

void vmm_board_deinit(VmmBoard *board);
int vmm_board_validate(const VmmBoard *board, bool firmware, TextError *reterr);
VmmRange vmm_board_limit(const VmmBoard *board, VmmRange window);
