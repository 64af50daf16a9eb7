/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/boot_params.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/boot/e820.h"
#include "vmm/mem/memmap.h"

#ifndef SETUP_RNG_SEED
#define SETUP_RNG_SEED 9 /* Linux 6.0 */
#endif

#define BOOT_LOADER_UNDEFINED                                                                      \
        0xffu /* type_of_loader of boot loaders without a number of their own */
#define BOOT_SEED_SIZE 64u

static void boot_params_set_header(struct boot_params *params, const LoadedKernel *kernel) {
        if (kernel->setup_header_size > 0) {
                memcpy((uint8_t *) params + SETUP_HEADER_OFFSET, kernel->setup_header,
                       kernel->setup_header_size);
                return;
        }
        /* A vmlinux has no setup header, but looks into the one in the boot parameters all the same. */
        params->hdr.boot_flag = 0xaa55;
        params->hdr.header = 0x53726448;
        params->hdr.version = 0x020c;
        params->hdr.loadflags = LOADED_HIGH;
        params->hdr.kernel_alignment = 0x1000000;
        params->hdr.cmdline_size = kernel->cmdline_max;
        params->hdr.initrd_addr_max = (uint32_t) kernel->initrd_addr_max;
}

static void boot_params_set_e820(struct boot_params *params, const GuestMem *mem) {
        E820Entry entries[E820_ENTRIES_MAX];
        size_t n = e820_build(mem, entries);

        for (size_t i = 0; i < n; i++) {
                params->e820_table[i].addr = entries[i].gpa;
                params->e820_table[i].size = entries[i].size;
                params->e820_table[i].type = entries[i].type;
        }
        params->e820_entries = (uint8_t) n;
}

/*
 * Randomness for the guest's generator, so that it need not gather any before its first user asks. The kernel wipes
 * it once used.
 */
static int boot_params_write_seed(const GuestMem *mem) {
        struct { /* struct setup_data, which ends in an array of unknown size */
                uint64_t next;
                uint32_t type, len;
                uint8_t seed[BOOT_SEED_SIZE];
        } setup = {.type = SETUP_RNG_SEED, .len = BOOT_SEED_SIZE};
        int r;

        if (getrandom(setup.seed, sizeof(setup.seed), 0) != (ssize_t) sizeof(setup.seed))
                return -EIO;
        r = guest_mem_write(mem, MEMMAP_BOOT_SETUP_DATA, &setup, sizeof(setup));
        explicit_bzero(&setup, sizeof(setup));
        return r;
}

/**
 * boot_params_write() - write boot parameters, command line and random seed below 1 MiB
 *
 * The kernel finds the parameters at MEMMAP_BOOT_PARAMS, which RSI must name at its entry.
 *
 * Return: 0 or negative errno.
 */
int boot_params_write(const GuestMem *mem, const BootParamsConfig *config) {
        struct boot_params params = {0};
        size_t cmdline_size = strlen(config->cmdline) + 1;
        int r;

        if (cmdline_size > MEMMAP_BOOT_CMDLINE_SIZE)
                return -E2BIG;
        boot_params_set_header(&params, config->kernel);
        boot_params_set_e820(&params, mem);
        params.acpi_rsdp_addr = config->rsdp;
        params.hdr.type_of_loader = BOOT_LOADER_UNDEFINED;
        params.hdr.cmd_line_ptr = (uint32_t) MEMMAP_BOOT_CMDLINE;
        params.hdr.setup_data = MEMMAP_BOOT_SETUP_DATA;
        if (config->initrd->size > 0) {
                params.hdr.ramdisk_image = (uint32_t) config->initrd->gpa;
                params.hdr.ramdisk_size = config->initrd->size;
        }

        r = boot_params_write_seed(mem);
        if (r < 0)
                return r;
        r = guest_mem_write(mem, MEMMAP_BOOT_CMDLINE, config->cmdline, cmdline_size);
        if (r < 0)
                return r;
        return guest_mem_write(mem, MEMMAP_BOOT_PARAMS, &params, sizeof(params));
}
