/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/initrd.h"

#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "vmm/mem/memmap.h"

/**
 * initrd_load() - place @file in guest RAM
 * @kernel: placed already; the initrd goes above it and not above its initrd_addr_max
 *
 * Return: 0; -EFBIG when there is no room; otherwise as image_file_load().
 */
int initrd_load(const ImageFile *file, const GuestMem *mem, const LoadedKernel *kernel, Initrd *ret,
                TextError *reterr) {
        const GuestRegion *low = &mem->regions[0];
        uint64_t floor, ceiling = low->gpa + low->size_bytes;
        gpa_t gpa;
        int r;

        if (kernel->initrd_addr_max < ceiling)
                ceiling = align_down(kernel->initrd_addr_max + 1, MEMMAP_PAGE_SIZE);
        floor = align_up(kernel->end, MEMMAP_PAGE_SIZE);
        if (floor > ceiling || file->size > ceiling - floor)
                return text_error_set(reterr, -EFBIG,
                                      "its %" PRIu64 " bytes do not fit between the kernel's end at"
                                      " 0x%" PRIx64 " and 0x%" PRIx64,
                                      file->size, floor, ceiling);
        gpa = align_down(ceiling - file->size, MEMMAP_PAGE_SIZE);
        r = image_file_load(file, 0, file->size, mem, gpa, reterr);
        if (r < 0)
                return r;
        *ret = (Initrd){.gpa = gpa, .size = (uint32_t) file->size};
        return 0;
}
