/* SPDX-License-Identifier: Apache-2.0 */

/*
 * boot.rst, "64-bit Boot Protocol": long mode with paging on, the kernel, the boot parameters and the command line
 * identity-mapped, flat __BOOT_CS (0x10) and __BOOT_DS (0x18), interrupts off, RSI = boot parameters.
 */

#include "vmm/boot/entry.h"

#include "vmm/mem/memmap.h"

#define ENTRY_CR0 UINT64_C(0x80000031) /* PG, NE, ET, PE */
#define ENTRY_CR4 UINT64_C(0x20)       /* PAE */
#define ENTRY_EFER UINT64_C(0x500)     /* LMA, LME */
#define ENTRY_RFLAGS UINT64_C(0x2)     /* the bit that is always set; interrupts off */

#define ENTRY_SELECTOR_CS 0x10u
#define ENTRY_SELECTOR_DS 0x18u
#define ENTRY_SELECTOR_TSS 0x20u

/* Descriptor bits 40-55: type, S, DPL, P, AVL, L, D/B, G. */
#define ENTRY_ATTRIBUTES_CS 0xa09bu  /* G, L, P, code, readable, accessed */
#define ENTRY_ATTRIBUTES_DS 0xc093u  /* G, B, P, data, writable, accessed */
#define ENTRY_ATTRIBUTES_TSS 0x008bu /* P, busy 64-bit TSS */

/* For the 32-bit protocols. */
#define ENTRY_PROTECTED_CR0 UINT64_C(0x11)    /* ET, PE */
#define ENTRY_PROTECTED_ATTRIBUTES_CS 0xc09bu /* G, D, P, code, readable, accessed */
#define ENTRY_PROTECTED_TSS_LIMIT 0x67u

#define PAGE_PRESENT UINT64_C(0x1)
#define PAGE_WRITE UINT64_C(0x2)
#define PAGE_LARGE UINT64_C(0x80)
#define PAGE_ENTRIES 512u
#define PAGE_LARGE_SIZE UINT64_C(0x200000)
#define PAGE_DIRECTORIES 4u /* 1 GiB each: the first 4 GiB are mapped */

static uint64_t entry_descriptor(uint16_t attributes) {
        /* Base 0; the limit's 20 bits set. */
        return (uint64_t) attributes << 40 | UINT64_C(0xf) << 48 | UINT64_C(0xffff);
}

static int entry_write_gdt(const GuestMem *mem, VcpuTableRegister *ret) {
        const uint64_t gdt[] = {
                0,
                0,
                entry_descriptor(ENTRY_ATTRIBUTES_CS),
                entry_descriptor(ENTRY_ATTRIBUTES_DS),
                entry_descriptor(ENTRY_ATTRIBUTES_TSS),
                0, /* upper half of the TSS descriptor */
        };

        *ret = (VcpuTableRegister){.base = MEMMAP_BOOT_GDT, .limit = sizeof(gdt) - 1};
        return guest_mem_write(mem, MEMMAP_BOOT_GDT, gdt, sizeof(gdt));
}

static int entry_write_page_tables(const GuestMem *mem) {
        const gpa_t pml4 = MEMMAP_BOOT_PAGE_TABLES, pdpt = pml4 + MEMMAP_PAGE_SIZE;
        uint64_t table[PAGE_ENTRIES] = {pdpt | PAGE_PRESENT | PAGE_WRITE};
        int r;

        r = guest_mem_write(mem, pml4, table, sizeof(table));
        if (r < 0)
                return r;
        for (unsigned i = 0; i < PAGE_DIRECTORIES; i++)
                table[i] = (pdpt + (i + 1) * MEMMAP_PAGE_SIZE) | PAGE_PRESENT | PAGE_WRITE;
        r = guest_mem_write(mem, pdpt, table, sizeof(table));
        for (uint64_t i = 0; r >= 0 && i < PAGE_DIRECTORIES; i++) {
                for (uint64_t j = 0; j < PAGE_ENTRIES; j++)
                        table[j] = (i * PAGE_ENTRIES + j) * PAGE_LARGE_SIZE | PAGE_PRESENT |
                                   PAGE_WRITE | PAGE_LARGE;
                r = guest_mem_write(mem, pdpt + (i + 1) * MEMMAP_PAGE_SIZE, table, sizeof(table));
        }
        return r;
}

static VcpuSegment entry_flat_segment(uint16_t selector, uint16_t attributes) {
        return (VcpuSegment){
                .limit = 0xffffffff,
                .selector = selector,
                .attributes = attributes,
        };
}

/**
 * entry_prepare() - write descriptor and page tables, and say how the boot processor starts
 * @rip: 64-bit entry point, below 4 GiB
 *
 * Return: 0, or -EFAULT when RAM has no first MiB.
 */
int entry_prepare(const GuestMem *mem, gpa_t rip, BootEntry *ret) {
        const VcpuSegment data = entry_flat_segment(ENTRY_SELECTOR_DS, ENTRY_ATTRIBUTES_DS);
        BootEntry entry = {
                .registers =
                        {
                                .rip = rip,
                                .rsi = MEMMAP_BOOT_PARAMS,
                                .rsp = MEMMAP_BOOT_STACK,
                                .rbp = MEMMAP_BOOT_STACK,
                                .rflags = ENTRY_RFLAGS,
                        },
                .system_registers =
                        {
                                .cs = entry_flat_segment(ENTRY_SELECTOR_CS, ENTRY_ATTRIBUTES_CS),
                                .ds = data,
                                .es = data,
                                .fs = data,
                                .gs = data,
                                .ss = data,
                                .tr = entry_flat_segment(ENTRY_SELECTOR_TSS, ENTRY_ATTRIBUTES_TSS),
                                .ldtr = {.attributes = 0x0082, .limit = 0xffff, .unusable = true},
                                .cr0 = ENTRY_CR0,
                                .cr3 = MEMMAP_BOOT_PAGE_TABLES,
                                .cr4 = ENTRY_CR4,
                                .efer = ENTRY_EFER,
                        },
        };
        int r;

        r = entry_write_gdt(mem, &entry.system_registers.gdtr);
        if (r < 0)
                return r;
        r = entry_write_page_tables(mem);
        if (r < 0)
                return r;
        *ret = entry;
        return 0;
}

/**
 * entry_set_protected() - the boot processor starts at @rip in protected mode: flat 32-bit segments, no paging
 *
 * Interrupts are off and all other registers 0. The segments are loaded, but there is no table of them.
 */
void entry_set_protected(gpa_t rip, BootEntry *ret) {
        const VcpuSegment data = entry_flat_segment(ENTRY_SELECTOR_DS, ENTRY_ATTRIBUTES_DS);

        *ret = (BootEntry){
                .registers = {.rip = rip, .rflags = ENTRY_RFLAGS},
                .system_registers =
                        {
                                .cs = entry_flat_segment(ENTRY_SELECTOR_CS,
                                                         ENTRY_PROTECTED_ATTRIBUTES_CS),
                                .ds = data,
                                .es = data,
                                .fs = data,
                                .gs = data,
                                .ss = data,
                                .tr = {.attributes = ENTRY_ATTRIBUTES_TSS,
                                       .limit = ENTRY_PROTECTED_TSS_LIMIT},
                                .ldtr = {.attributes = 0x0082, .limit = 0xffff, .unusable = true},
                                .cr0 = ENTRY_PROTECTED_CR0,
                        },
        };
}
