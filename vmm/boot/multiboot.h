/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Multiboot 0.6.96: 32-bit ELF images with a header that says so, entered in protected mode without paging. Test
 * programs for processors are made in this form.
 */

#include "vmm/boot/boot.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/initrd.h"
#include "vmm/boot/kernel.h"

bool multiboot_has_magic(const uint8_t head[static BZIMAGE_HEAD_SIZE]);
int multiboot_load(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret,
                   TextError *reterr);
int multiboot_cmdline(const BootConfig *config, char **ret, TextError *reterr);
int multiboot_prepare(const GuestMem *mem, const LoadedKernel *kernel, const Initrd *initrd,
                      const char *cmdline, BootEntry *ret);
