/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of guest RAM were written: by devices always, by processors where the backend has no log of its own. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/mem/guest_mem.h"
#include "vmm/mem/memmap.h"

/* The log is one bitmap in memfd order, a bit a page. */
static size_t log_words(const GuestMem *mem) {
        return (size_t) (mem->size_bytes / MEMMAP_PAGE_SIZE + 63) / 64;
}

/**
 * guest_mem_dirty_start() - begin to note writes, with all pages clean; while nothing writes
 *
 * Return: 0 or -ENOMEM.
 */
int guest_mem_dirty_start(GuestMem *mem) {
        if (!mem->dirty)
                mem->dirty = calloc(log_words(mem), sizeof(*mem->dirty));
        if (!mem->dirty)
                return -ENOMEM;
        for (size_t i = 0; i < log_words(mem); i++)
                atomic_store(&mem->dirty[i], 0);
        atomic_store(&mem->dirty_on, true);
        return 0;
}

/** guest_mem_dirty_stop() - do not note writes any more; while nothing writes */
void guest_mem_dirty_stop(GuestMem *mem) {
        atomic_store(&mem->dirty_on, false);
}

/** guest_mem_dirty_mark() - note a write to [@gpa, @gpa + @len); what is not RAM is ignored; any thread */
void guest_mem_dirty_mark(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        for (unsigned i = 0; len > 0 && i < mem->n_regions; i++) {
                const GuestRegion *r = &mem->regions[i];
                const uint64_t first = r->file_offset / MEMMAP_PAGE_SIZE;
                uint64_t from, to;

                if (gpa >= r->gpa + r->size_bytes || gpa + len <= r->gpa)
                        continue;
                from = gpa > r->gpa ? gpa - r->gpa : 0;
                to = MIN(gpa + len - r->gpa, r->size_bytes) - 1;
                for (uint64_t page = first + from / MEMMAP_PAGE_SIZE;
                     page <= first + to / MEMMAP_PAGE_SIZE; page++)
                        atomic_fetch_or_explicit(&mem->dirty[page / 64], UINT64_C(1) << page % 64,
                                                 memory_order_relaxed);
        }
}

/** guest_mem_dirty_words() - how many words the bitmap of region @region has */
size_t guest_mem_dirty_words(const GuestMem *mem, unsigned region) {
        return (size_t) (mem->regions[region].size_bytes / MEMMAP_PAGE_SIZE + 63) / 64;
}

/**
 * guest_mem_dirty_fetch() - add the pages of region @region that were written since the last time, and forget them
 * @bitmap: guest_mem_dirty_words() words; bit 0 of the first is the region's first page
 */
void guest_mem_dirty_fetch(const GuestMem *mem, unsigned region, uint64_t *bitmap) {
        const GuestRegion *r = &mem->regions[region];
        const uint64_t first = r->file_offset / MEMMAP_PAGE_SIZE;

        for (uint64_t n = 0; n < r->size_bytes / MEMMAP_PAGE_SIZE; n++) {
                const uint64_t page = first + n, bit = UINT64_C(1) << page % 64;

                if (atomic_load_explicit(&mem->dirty[page / 64], memory_order_relaxed) & bit) {
                        atomic_fetch_and(&mem->dirty[page / 64], ~bit);
                        bitmap[n / 64] |= UINT64_C(1) << n % 64;
                }
        }
}
