/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The initial RAM disk: as high in low RAM as the kernel allows, away from the kernel. */

#include "vmm/boot/image_file.h"
#include "vmm/boot/kernel.h"

typedef struct Initrd {
        gpa_t gpa;
        uint32_t size; /* 0: there is none */
} Initrd;

int initrd_load(const ImageFile *file, const GuestMem *mem, const LoadedKernel *kernel, Initrd *ret,
                TextError *reterr);
