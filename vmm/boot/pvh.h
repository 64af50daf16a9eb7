/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PVH boot protocol (Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h, version 1): a kernel with
 * an ELF note that names its entry point is entered there in protected mode, EBX pointing to its start information.
 */

#include "vmm/boot/boot.h"
#include "vmm/boot/initrd.h"

typedef struct PvhConfig {
        gpa_t entry;
        const Initrd *initrd; /* borrowed; size 0 = none */
        const char *cmdline;  /* borrowed; shorter than MEMMAP_BOOT_CMDLINE_SIZE */
        gpa_t rsdp;
} PvhConfig;

int pvh_prepare(const GuestMem *mem, const PvhConfig *config, BootEntry *ret);
