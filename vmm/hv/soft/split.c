/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locked operations on what lies in two pages of RAM. The host's own instruction does them, as all others: it is atomic
 * against every other access of any processor, which no lock of ours would be. Where the pages do not lie side by side in
 * our address space, too, they are mapped once more into a window of two pages for that one instruction.
 */
#include <sys/mman.h>

#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft_internal.h"

#define PAGE 0x1000u
#define WINDOW (2 * PAGE)

/* Maps the page of RAM at @host at @at, too. Return: false for pages that cannot be, like those of hugetlbfs. */
static bool map_too(uint8_t *host, uint8_t *at) {
        return mremap(host, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at;
}

static bool make_window(SoftCpu *c) {
        void *window;

        if (c->split_window)
                return true;
        window = mmap(NULL, WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (window == MAP_FAILED)
                return false;
        c->split_window = window;
        return true;
}

/**
 * split_begin() - where an operand can be changed that lies in two pages
 * @first:  its first byte
 * @second: the second page
 *
 * Return: its address until split_end(); NULL where there is none.
 */
uint8_t *split_begin(SoftCpu *c, uint8_t *first, uint8_t *second) {
        const uint64_t offset = (uintptr_t) first % PAGE;
        uint8_t *const page = first - offset;

        if (second == page + PAGE)
                return first;
        if (!make_window(c))
                return NULL;
        c->split_mapped = true;
        if (map_too(page, c->split_window) && map_too(second, c->split_window + PAGE))
                return c->split_window + offset;
        split_end(c);
        return NULL;
}

/** split_end() - the window, if it was needed, shows nothing any more */
void split_end(SoftCpu *c) {
        if (!c->split_mapped)
                return;
        c->split_mapped = false;
        if (mmap(c->split_window, WINDOW, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
                split_free(c);
}

/** split_free() - release the window; without one that is fine */
void split_free(SoftCpu *c) {
        if (c->split_window)
                (void) munmap(c->split_window, WINDOW);
        c->split_window = NULL;
}

/** split_count_bus_lock() - the instruction at hand locks memory in two cache lines; it is accounted for when its block ends */
void split_count_bus_lock(SoftCpu *c) {
        if (!bus_lock_limit_is_on(&c->partition->bus_locks))
                return;
        c->bus_locks++;
        atomic_fetch_or(&c->attention, ATTENTION_BUS_LOCK);
}
