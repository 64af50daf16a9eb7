/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the firmware tables (ACPI, SMBIOS, E820) must say about the board of this VM. Fixed addresses come from
 * vmm/mem/memmap.h; here is only what differs from VM to VM.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/mem/memmap.h"

typedef struct BoardInfo {
        unsigned n_vcpus;          /* 1..HV_VCPUS_MAX; APIC ids equal indices */
        unsigned threads_per_core; /* as in HvConfig; for SMBIOS only */

        gpa_t pci64_base;    /* 64-bit PCI memory window, above all RAM */
        uint64_t pci64_size; /* 0: there is none */

        bool firmware; /* it placed ECAM and the PCI devices; otherwise they are where memmap.h says */
        gpa_t ecam_base; /* then; 0: not mapped */
        uint64_t ecam_size;
        bool fw_cfg; /* for the system: firmware finds it anyway */

        bool com[4]; /* COM1..COM4 exist */
        bool rtc;
        bool i8042;
        bool pvpanic;
        bool watchdog;

        uint8_t uuid[16];          /* of the VM in text order; all zero: not told to the guest */
        const StrVec *oem_strings; /* SMBIOS type 11; borrowed, may be NULL */
} BoardInfo;

/** board_ecam_base() - where configuration space is mapped; 0: nowhere */
static inline gpa_t board_ecam_base(const BoardInfo *board) {
        return board->firmware ? board->ecam_base : MEMMAP_ECAM_BASE;
}
