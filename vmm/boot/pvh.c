/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/pvh.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/boot/e820.h"
#include "vmm/boot/entry.h"
#include "vmm/mem/memmap.h"

#define PVH_MAGIC 0x336ec578u
#define PVH_VERSION 1u /* the first with a memory map */

typedef struct PvhStartInfo {
        uint32_t magic, version, flags, n_modules;
        uint64_t modules, cmdline, rsdp, memory_map;
        uint32_t n_memory_map, reserved;
} PvhStartInfo;

typedef struct PvhModule {
        uint64_t gpa, size, cmdline, reserved;
} PvhModule;

typedef struct PvhMemory {
        uint64_t gpa, size;
        uint32_t type, reserved; /* types as in E820 */
} PvhMemory;

/* What lies at MEMMAP_BOOT_PARAMS. */
typedef struct PvhPage {
        PvhStartInfo info;
        PvhModule module;
        PvhMemory memory[E820_ENTRIES_MAX];
} PvhPage;

static void fill_page(PvhPage *page, const GuestMem *mem, const PvhConfig *config) {
        E820Entry entries[E820_ENTRIES_MAX];
        const size_t n = e820_build(mem, entries);

        for (size_t i = 0; i < n; i++)
                page->memory[i] = (PvhMemory){
                        .gpa = entries[i].gpa,
                        .size = entries[i].size,
                        .type = entries[i].type,
                };
        page->info = (PvhStartInfo){
                .magic = PVH_MAGIC,
                .version = PVH_VERSION,
                .cmdline = MEMMAP_BOOT_CMDLINE,
                .rsdp = config->rsdp,
                .memory_map = MEMMAP_BOOT_PARAMS + offsetof(PvhPage, memory),
                .n_memory_map = (uint32_t) n,
        };
        if (config->initrd->size > 0) {
                page->info.n_modules = 1;
                page->info.modules = MEMMAP_BOOT_PARAMS + offsetof(PvhPage, module);
                page->module.gpa = config->initrd->gpa;
                page->module.size = config->initrd->size;
        }
}

/**
 * pvh_prepare() - write the start information and say how the boot processor starts
 *
 * Return: 0; -E2BIG for a command line that is too long; -EFAULT when RAM has no first MiB.
 */
int pvh_prepare(const GuestMem *mem, const PvhConfig *config, BootEntry *ret) {
        const size_t cmdline_size = strlen(config->cmdline) + 1;
        PvhPage page = {0};
        int r;

        if (cmdline_size > MEMMAP_BOOT_CMDLINE_SIZE)
                return -E2BIG;
        fill_page(&page, mem, config);
        r = guest_mem_write(mem, MEMMAP_BOOT_PARAMS, &page, sizeof(page));
        if (r < 0)
                return r;
        r = guest_mem_write(mem, MEMMAP_BOOT_CMDLINE, config->cmdline, cmdline_size);
        if (r < 0)
                return r;
        entry_set_protected(config->entry, ret);
        ret->registers.rbx = MEMMAP_BOOT_PARAMS;
        return 0;
}
