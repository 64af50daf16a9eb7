/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside vmm/boot: a kernel of any format, once it is in guest RAM. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"
#include "vmm/boot/image_file.h"
#include "vmm/mem/guest_mem.h"

/* The setup header lies here in a bzImage and in the boot parameters (boot.rst, "The Real-Mode Kernel Header"). */
#define SETUP_HEADER_OFFSET 0x1f1u
#define SETUP_HEADER_SIZE_MAX 0x9fu /* up to 0x290, where boot parameters continue otherwise */

typedef enum KernelProtocol {
        KERNEL_LINUX64,   /* Linux's 64-bit boot protocol */
        KERNEL_MULTIBOOT, /* 32 bits, as multiboot.c says */
        KERNEL_PVH,       /* 32 bits, as pvh.c says */
} KernelProtocol;

typedef struct LoadedKernel {
        KernelProtocol protocol;
        gpa_t entry;
        gpa_t end; /* first address above 1 MiB that the kernel does not need before it reads E820 */
        uint64_t initrd_addr_max; /* last address that an initrd may have */
        uint32_t cmdline_max;     /* bytes without the terminator */
        bool unpacked;            /* the kernel proper was entered, not a decompressor */
        uint8_t setup_header[SETUP_HEADER_SIZE_MAX]; /* to copy into the boot parameters */
        size_t setup_header_size;                    /* 0: the kernel came without one */
} LoadedKernel;

int boot_kernel_load(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret,
                     TextError *reterr);

#define BZIMAGE_HEAD_SIZE                                                                          \
        0x290u /* bytes from the start of the file that bzimage_has_magic() reads */

bool bzimage_has_magic(const uint8_t head[static BZIMAGE_HEAD_SIZE]);
int bzimage_load(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret, TextError *reterr);
