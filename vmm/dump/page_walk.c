/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dump/page_walk.h"

#include <errno.h>
#include <stdlib.h>

/* SDM volume 3, 4.5: 4-level paging */
#define ENTRIES 512u
#define FIRST_KERNEL_ENTRY 256u /* of the top table: the half with the sign bit */
#define TOP_LEVEL 3u
#define ENTRY_PRESENT UINT64_C(1)
#define ENTRY_LARGE UINT64_C(0x80)
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)
#define CR0_PG UINT64_C(0x80000000)
#define CR4_LA57 UINT64_C(0x1000)
#define EFER_LMA UINT64_C(0x400)

typedef struct Walker {
        const GuestMem *mem;
        PageWalk *walk;
        size_t room;
        unsigned n_tables;
} Walker;

static int add_range(Walker *walker, uint64_t gva, gpa_t gpa, uint64_t len) {
        PageWalk *walk = walker->walk;
        MappedRange *last = walk->n > 0 ? &walk->ranges[walk->n - 1] : NULL;

        if (!guest_mem_ptr(walker->mem, gpa, len))
                return 0; /* a device's, or nothing */
        if (last && last->gva + last->len == gva && last->gpa + last->len == gpa &&
            guest_mem_ptr(walker->mem, last->gpa, last->len + len)) {
                last->len += len;
                return 0;
        }
        if (walk->n == PAGE_WALK_RANGES_MAX) {
                walk->cut = true;
                return 0;
        }
        if (walk->n == walker->room) {
                size_t room = walker->room > 0 ? 2 * walker->room : 64;
                MappedRange *grown = reallocarray(walk->ranges, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                walk->ranges = grown;
                walker->room = room;
        }
        walk->ranges[walk->n++] = (MappedRange){.gva = gva, .len = len, .gpa = gpa};
        return 0;
}

static uint64_t sign_extend(uint64_t gva) {
        return gva & UINT64_C(0x800000000000) ? gva | UINT64_C(0xffff000000000000) : gva;
}

/* @level: 3 for the top table, 0 for one of 4 KiB pages; @gva: what its first entry maps. Four levels deep at most. */
static int walk_table(Walker *walker, gpa_t table, unsigned level, uint64_t gva) {
        const uint64_t step = UINT64_C(4096) << (9 * level);
        uint64_t entries[ENTRIES];

        if (walker->n_tables++ >= PAGE_WALK_TABLES_MAX) {
                walker->walk->cut = true;
                return 0;
        }
        if (guest_mem_read(walker->mem, table, entries, sizeof(entries)) < 0)
                return 0;
        for (unsigned i = level == TOP_LEVEL ? FIRST_KERNEL_ENTRY : 0; i < ENTRIES; i++) {
                const uint64_t at = sign_extend(gva + i * step);
                const gpa_t address = entries[i] & ENTRY_ADDRESS;
                int r;

                if (!(entries[i] & ENTRY_PRESENT))
                        continue;
                if (level == 0 || (level < TOP_LEVEL && (entries[i] & ENTRY_LARGE)))
                        r = add_range(walker, at, address & ~(step - 1), step);
                else
                        r = walk_table(walker, address, level - 1, gva + i * step);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * page_walk() - the ranges that @cpu's kernel half maps
 * @ret: release with page_walk_deinit(); empty for a processor that is not in long mode, or that has five levels
 *
 * No vCPU runs. Return: 0 or -ENOMEM.
 */
int page_walk(const GuestMem *mem, const VcpuSystemRegisters *cpu, PageWalk *ret) {
        Walker walker = {.mem = mem, .walk = ret};

        *ret = (PageWalk){0};
        if (!(cpu->cr0 & CR0_PG) || !(cpu->efer & EFER_LMA) || (cpu->cr4 & CR4_LA57))
                return 0;
        return walk_table(&walker, cpu->cr3 & ENTRY_ADDRESS, TOP_LEVEL, 0);
}

/** page_walk_deinit() - release the ranges */
void page_walk_deinit(PageWalk *walk) {
        free(walk->ranges);
        *walk = (PageWalk){0};
}
