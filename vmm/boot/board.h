/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the firmware tables (ACPI, SMBIOS, E820) must say about the board of this VM. Fixed addresses come from
 * vmm/mem/memmap.h; here is only what differs from VM to VM.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "config/vmm_board.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/mem/memmap.h"

typedef struct BoardInfo {
        unsigned n_vcpus;          /* 1..HV_VCPUS_MAX; APIC ids equal indices */
        unsigned threads_per_core; /* as in HvConfig; for SMBIOS only */

        gpa_t pci64_base;    /* 64-bit PCI memory window, above all RAM */
        uint64_t pci64_size; /* 0: there is none */

        gpa_t pci32_base;    /* 32-bit PCI memory window */
        uint64_t pci32_size; /* 0: where memmap.h says */
        bool firmware;       /* it placed ECAM and the PCI devices */
        gpa_t ecam_base;     /* 0: not mapped with firmware, and without where memmap.h says */
        uint64_t ecam_size;
        bool fw_cfg; /* for the system: firmware finds it anyway */

        bool com[4]; /* COM1..COM4 exist */
        bool rtc;
        bool i8042;
        bool pvpanic;
        bool watchdog;

        bool s2idle; /* suspend-to-idle is what is recommended */

        const VmmSmbios *smbios;                  /* borrowed, may be NULL */
        const StrVec *oem_strings;                /* SMBIOS type 11; borrowed, may be NULL */
        const struct AcpiUserTables *acpi_tables; /* borrowed, may be NULL */
} BoardInfo;

/** board_ecam() - where configuration space is mapped; size 0: nowhere */
static inline VmmRange board_ecam(const BoardInfo *board) {
        if (board->firmware || board->ecam_base != 0)
                return (VmmRange){board->ecam_base, board->ecam_base != 0 ? board->ecam_size : 0};
        return (VmmRange){MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE};
}

/** board_pci32() - the 32-bit PCI memory window of a board without firmware */
static inline VmmRange board_pci32(const BoardInfo *board) {
        if (board->pci32_size != 0)
                return (VmmRange){board->pci32_base, board->pci32_size};
        return (VmmRange){MEMMAP_PCI32_BASE, MEMMAP_PCI32_SIZE};
}
