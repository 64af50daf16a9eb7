/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/e820.h"

#include "vmm/mem/memmap.h"

/* What is not RAM and not a device that PCI enumeration finds. The hole from 640 KiB to the tables is unlisted. */
static const E820Entry e820_reserved[] = {
        {MEMMAP_EBDA_START, 0xa0000 - MEMMAP_EBDA_START, E820_RESERVED},
        {MEMMAP_ACPI_BASE, MEMMAP_HIMEM_START - MEMMAP_ACPI_BASE, E820_RESERVED},
        {MEMMAP_KVM_IDENTITY_BASE,
         MEMMAP_KVM_TSS_BASE + 3 * MEMMAP_PAGE_SIZE - MEMMAP_KVM_IDENTITY_BASE, E820_RESERVED},
};

static void add_sorted(E820Entry *entries, size_t *n, E820Entry entry) {
        size_t i = (*n)++;

        for (; i > 0 && entries[i - 1].gpa > entry.gpa; i--)
                entries[i] = entries[i - 1];
        entries[i] = entry;
}

/**
 * e820_build() - list the memory of this VM, ascending and disjoint
 * @mem: region 0 starts at address 0 and is larger than 1 MiB
 *
 * Return: entries written to @ret.
 */
size_t e820_build(const GuestMem *mem, E820Entry ret[static E820_ENTRIES_MAX]) {
        uint64_t low_end = mem->regions[0].gpa + mem->regions[0].size_bytes;
        size_t n = 0;

        ret[n++] = (E820Entry){0, MEMMAP_EBDA_START, E820_RAM};
        ret[n++] = e820_reserved[0];
        ret[n++] = e820_reserved[1];
        ret[n++] = (E820Entry){MEMMAP_HIMEM_START, low_end - MEMMAP_HIMEM_START, E820_RAM};
        for (size_t i = 2; i < ELEMENTSOF(e820_reserved); i++)
                ret[n++] = e820_reserved[i];
        for (unsigned i = 1; i < mem->n_regions; i++)
                ret[n++] = (E820Entry){mem->regions[i].gpa, mem->regions[i].size_bytes, E820_RAM};
        for (unsigned i = 0; i < mem->n_reserved; i++)
                add_sorted(ret, &n,
                           (E820Entry){mem->reserved[i].gpa, mem->reserved[i].size_bytes,
                                       E820_RESERVED});
        return n;
}
