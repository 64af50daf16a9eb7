/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The "zero page" of the Linux boot protocol and what it points to. */

#include "vmm/boot/initrd.h"
#include "vmm/boot/kernel.h"

typedef struct BootParamsConfig {
        const LoadedKernel *kernel; /* borrowed */
        const Initrd *initrd;       /* borrowed; size 0 for none */
        const char *cmdline;        /* borrowed; fits MEMMAP_BOOT_CMDLINE_SIZE */
        gpa_t rsdp;                 /* of the ACPI tables */
} BootParamsConfig;

int boot_params_write(const GuestMem *mem, const BootParamsConfig *config);
