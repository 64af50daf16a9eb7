/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Everything that is in guest memory before the first guest instruction: the kernel, its initrd and command line,
 * the boot parameters, the ACPI and SMBIOS tables, page tables and descriptors of the 64-bit boot protocol
 * (Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
 */

#include "base/str.h"
#include "base/text_error.h"
#include "vmm/boot/board.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/guest_mem.h"

/* The kinds of disk, by the names that Linux has for them. */
typedef enum BootRoot {
        BOOT_ROOT_NONE,
        BOOT_ROOT_BLOCK, /* /dev/vda */
        BOOT_ROOT_SCSI,  /* /dev/sda */
        BOOT_ROOT_PMEM,  /* /dev/pmem0 */
} BootRoot;

typedef struct BootConfig {
        const GuestMem *mem; /* borrowed; still all zero, as it was allocated */
        BoardInfo board;

        const char *kernel;   /* path or /proc/self/fd/N */
        const char *initrd;   /* the same, or NULL */
        const StrVec *params; /* borrowed; joined with spaces, in order; may be NULL */

        VmmRange pstore; /* for the driver ramoops; size 0: none */

        const char *console; /* "ttyS0", "hvc0", …: console= unless @params have one; NULL = none */
        const char
                *earlycon; /* "uart8250,io,0x3f8": earlycon= unless @params have one; NULL = none */
        BootRoot root;     /* for root= unless @params have one */
        unsigned root_index; /* among the disks of its kind */
        bool root_read_only;
} BootConfig;

/* How the boot processor starts; the others wait for INIT-SIPI. */
typedef struct BootEntry {
        VcpuRegisters registers;
        VcpuSystemRegisters system_registers;
} BootEntry;

int boot_load(const BootConfig *config, BootEntry *ret, TextError *reterr);
