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
        int root_disk; /* index of the disk for root=/dev/vdX unless @params have one; −1 = none */
        bool root_scsi; /* it is /dev/sdX */
        bool root_read_only;
} BootConfig;

/* How the boot processor starts; the others wait for INIT-SIPI. */
typedef struct BootEntry {
        VcpuRegisters registers;
        VcpuSystemRegisters system_registers;
} BootEntry;

int boot_load(const BootConfig *config, BootEntry *ret, TextError *reterr);
