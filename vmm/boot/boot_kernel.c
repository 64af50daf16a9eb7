/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "vmm/boot/elf.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/multiboot.h"

/* What a kernel without a setup header is taken to bear: the constants of every x86-64 Linux. */
#define KERNEL_INITRD_ADDR_MAX UINT64_C(0x7fffffff)
#define KERNEL_CMDLINE_MAX 2047u

static int boot_kernel_load_elf(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret,
                                TextError *reterr) {
        ElfImage image = {0};
        int r;

        r = elf_load(file, mem, &image, reterr);
        if (r < 0)
                return r;
        *ret = (LoadedKernel){
                .protocol = image.pvh ? KERNEL_PVH : KERNEL_LINUX64,
                .entry = image.entry,
                .end = image.end,
                .initrd_addr_max = KERNEL_INITRD_ADDR_MAX,
                .cmdline_max = KERNEL_CMDLINE_MAX,
                .unpacked = true,
        };
        return 0;
}

/**
 * boot_kernel_load() - find out what kind of kernel @file is and place it in guest RAM
 * @mem: fresh guest RAM, all zero
 *
 * Return: 0; -ENOEXEC for what is no kernel or not one for this board; -ENODATA for a truncated file; -EFBIG when
 * RAM is too small; -EBADMSG for corrupt packed data; other negative errno.
 */
int boot_kernel_load(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret,
                     TextError *reterr) {
        uint8_t head[BZIMAGE_HEAD_SIZE];
        int r;

        if (file->size < sizeof(head))
                return text_error_set(reterr, -ENOEXEC,
                                      "it is too short to be a kernel: it has %u bytes",
                                      (unsigned) file->size);
        r = image_file_read(file, 0, head, sizeof(head), reterr);
        if (r < 0)
                return r;
        if (multiboot_has_magic(head))
                return multiboot_load(file, mem, ret, reterr);
        if (elf_has_magic(head))
                return boot_kernel_load_elf(file, mem, ret, reterr);
        if (bzimage_has_magic(head))
                return bzimage_load(file, mem, ret, reterr);
        return text_error_set(reterr, -ENOEXEC, "it is neither a bzImage nor an ELF kernel");
}
