/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translation caches. Translations are kept apart for reading, writing and executing, and for user and supervisor; a write
 * translation exists only once the page's dirty bit is set and while no decoded code lies in the page. A protection key's
 * rights are looked at when the page tables are, so that what is cached needs no second look; see keys.c.
 */
#include <string.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/soft_internal.h"

/* What every access misses in, so that its alignment is looked at. */
static const Tlb no_translations = {
        .read = {[0 ... TLB_ENTRIES - 1] = {.tag = TLB_INVALID}},
        .write = {[0 ... TLB_ENTRIES - 1] = {.tag = TLB_INVALID}},
};

/** tlb_role_changed() - CPL, EFLAGS.AC, CR0.AM or CR4.SMAP have changed: whose rights do data accesses have now? */
void tlb_role_changed(SoftCpu *c) {
        c->aligned = c->cpl == 3 && (c->flags & FLAG_AC) && (c->cr0 & CR0_AM);
        c->role = c->cpl == 3                                             ? MMU_USER
                  : unlikely((c->cr4 & CR4_SMAP) && (c->flags & FLAG_AC)) ? MMU_SUPERVISOR_AC
                                                                          : MMU_SUPERVISOR;
        c->tlb = unlikely(c->aligned) ? &no_translations : &c->tlbs[c->role];
        if (unlikely(c->role >= c->n_tlbs))
                c->n_tlbs = MMU_ROLES;
}

/* The word and bit that stand for the 4 MiB around @va among those with large pages. */
static uint64_t *large_word(SoftCpu *c, uint64_t va, uint64_t *ret_bit) {
        unsigned at = (unsigned) ((va >> 22 ^ va >> 34) % LARGE_REGIONS);

        *ret_bit = UINT64_C(1) << at % 64;
        return &c->large[at / 64];
}

#define HUGE_SHIFT 30u

static uint64_t huge_bit(uint64_t va) {
        return UINT64_C(1) << ((va >> HUGE_SHIFT ^ va >> 36) % 64);
}

/* Remembers where pages are larger than 4 KiB, which have many entries. */
static void note_large(SoftCpu *c, uint64_t va, unsigned shift) {
        uint64_t bit, *word = large_word(c, va, &bit);

        if (shift > 12)
                *word |= bit;
        if (unlikely(shift == HUGE_SHIFT))
                c->huge |= huge_bit(va);
}

static void fill(SoftCpu *c, Tlb *tlb, uint64_t va, const uint8_t *host, bool write,
                 const MmuWalk *walk) {
        unsigned i = (va >> 12) % TLB_ENTRIES;
        TlbEntry *e = write ? &tlb->write[i] : &tlb->read[i];
        uint8_t bit = write ? 2 : 1;

        e->tag = va & PAGE_MASK;
        e->addend = (uint64_t) (uintptr_t) host - va;
        tlb->global[i] = (uint8_t) ((tlb->global[i] & ~bit) | (walk->global ? bit : 0));
        if (unlikely(walk->key != 0))
                c->keyed[i / 64] |= UINT64_C(1) << i % 64;
}

/**
 * tlb_miss() - where the byte at @va is, for an access that found no translation; a plain one will next time
 * @access: ACCESS_READ or ACCESS_WRITE
 * @role:   MMU_*
 * @ret_pa: its physical address
 *
 * Faults. Return: its place in the host's memory; NULL where there is none: a device's.
 */
uint8_t *tlb_miss(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, unsigned role,
                  uint64_t *ret_pa) {
        Tlb *tlb = &c->tlbs[role];
        uint8_t *host;
        MmuWalk walk;

        mmu_translate_or_fault(c, u, va, access, role, &walk);
        host = ram_host(c->partition, walk.pa);
        if (!host && access != ACCESS_WRITE)
                host = (uint8_t *) (uintptr_t) rom_host(c->partition, walk.pa);
        note_large(c, va, walk.shift);
        *ret_pa = walk.pa;
        if (host && access == ACCESS_WRITE)
                ram_note_dirty(c, walk.pa);
        if (!host || unlikely(debug_page_watched(c, va)))
                return host;
        if (!cpu_long_mode(c) && va > UINT32_MAX)
                return host; /* wrapped: the fast path would look up another page */
        if (access == ACCESS_WRITE) {
                if (!ram_page_has_code(c->partition, walk.pa))
                        fill(c, tlb, va, host, true, &walk);
        } else if (access == ACCESS_READ) {
                fill(c, tlb, va, host, false, &walk);
        }
        return host;
}

/* ---- forgetting ---- */

/** tlb_flush_all() - forget every translation */
void tlb_flush_all(SoftCpu *c) {
        for (unsigned m = 0; m < MMU_ROLES; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        c->tlbs[m].read[i].tag = TLB_INVALID;
                        c->tlbs[m].write[i].tag = TLB_INVALID;
                }
        for (unsigned m = 0; m < ELEMENTSOF(c->exec_tlb); m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++)
                        c->exec_tlb[m][i].tag = TLB_INVALID;
        memset(c->large, 0, sizeof(c->large));
        memset(c->keyed, 0, sizeof(c->keyed));
        c->huge = 0;
        block_generation_next(c, true);
}

/** tlb_flush_nonglobal() - forget what a write to CR3 forgets */
void tlb_flush_nonglobal(SoftCpu *c) {
        for (unsigned m = 0; m < c->n_tlbs; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        if (!(c->tlbs[m].global[i] & 1))
                                c->tlbs[m].read[i].tag = TLB_INVALID;
                        if (!(c->tlbs[m].global[i] & 2))
                                c->tlbs[m].write[i].tag = TLB_INVALID;
                }
        for (unsigned m = 0; m < ELEMENTSOF(c->exec_tlb); m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++)
                        if (!c->exec_tlb[m][i].global)
                                c->exec_tlb[m][i].tag = TLB_INVALID;
        block_generation_next(c, false);
}

/* The word and bit that stand for a page among those fetched from. */
static uint64_t *fetched_word(SoftCpu *c, uint64_t va, uint64_t *ret_bit) {
        unsigned at = (unsigned) ((va >> 12 ^ va >> 26) % FETCHED_PAGES);

        *ret_bit = UINT64_C(1) << at % 64;
        return &c->fetched[at / 64];
}

/* Whether jumps or links may lead into the page; most pages that are flushed hold data. */
static bool fetched_from(SoftCpu *c, uint64_t va) {
        uint64_t bit, *word = fetched_word(c, va, &bit);

        return *word & bit;
}

/* A large page has many entries here, and one INVLPG is for all of them. */
static void flush_region(SoftCpu *c, uint64_t va, unsigned shift) {
        for (unsigned m = 0; m < c->n_tlbs; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        if ((c->tlbs[m].read[i].tag ^ va) >> shift == 0)
                                c->tlbs[m].read[i].tag = TLB_INVALID;
                        if ((c->tlbs[m].write[i].tag ^ va) >> shift == 0)
                                c->tlbs[m].write[i].tag = TLB_INVALID;
                }
        for (unsigned m = 0; m < ELEMENTSOF(c->exec_tlb); m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++)
                        if ((c->exec_tlb[m][i].tag ^ va) >> shift == 0)
                                c->exec_tlb[m][i].tag = TLB_INVALID;
        block_generation_next(c, true);
}

/** tlb_flush_page() - forget the translations of the page around @va, of whatever size, global or not (INVLPG) */
void tlb_flush_page(SoftCpu *c, uint64_t va) {
        unsigned i = (va >> 12) % TLB_ENTRIES;
        uint64_t bit, *word = large_word(c, va, &bit);

        if (unlikely(c->huge & huge_bit(va))) {
                flush_region(c, va, HUGE_SHIFT);
                return;
        }
        if (*word & bit) {
                flush_region(c, va, 22);
                return;
        }
        for (unsigned m = 0; m < c->n_tlbs; m++) {
                c->tlbs[m].read[i].tag = TLB_INVALID;
                c->tlbs[m].write[i].tag = TLB_INVALID;
        }
        for (unsigned m = 0; m < ELEMENTSOF(c->exec_tlb); m++)
                c->exec_tlb[m][i].tag = TLB_INVALID;
        if (fetched_from(c, va))
                block_generation_next(c, true);
}

/** tlb_flush_keyed() - forget the data translations of all pages with a protection key but 0 */
void tlb_flush_keyed(SoftCpu *c) {
        for (unsigned word = 0; word < ELEMENTSOF(c->keyed); word++) {
                for (uint64_t left = c->keyed[word]; left != 0; left &= left - 1) {
                        unsigned i = word * 64 + (unsigned) __builtin_ctzll(left);

                        for (unsigned m = 0; m < c->n_tlbs; m++) {
                                c->tlbs[m].read[i].tag = TLB_INVALID;
                                c->tlbs[m].write[i].tag = TLB_INVALID;
                        }
                }
                c->keyed[word] = 0;
        }
}

/** tlb_drop_writes() - forget write translations: of one page of host memory, or all for NULL */
void tlb_drop_writes(SoftCpu *c, const uint8_t *host_page) {
        for (unsigned m = 0; m < c->n_tlbs; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        TlbEntry *e = &c->tlbs[m].write[i];

                        if (!host_page || e->tag + e->addend == (uint64_t) (uintptr_t) host_page)
                                e->tag = TLB_INVALID;
                }
}

/* ---- code ---- */

/**
 * tlb_fetch_page() - the page that the instruction at @va lies in
 * @ret_phys:   its physical address
 * @ret_global: whether the translation is global
 *
 * Faults as instruction fetches do, with rip as it is. Return: host memory, or NULL where there is no RAM.
 */
const uint8_t *tlb_fetch_page(SoftCpu *c, uint64_t va, uint64_t *ret_phys, bool *ret_global) {
        uint64_t bit, *word = fetched_word(c, va, &bit);
        ExecTlbEntry *e = &c->exec_tlb[c->cpl == 3][(va >> 12) % TLB_ENTRIES];

        if (e->tag != (va & PAGE_MASK)) {
                MmuWalk walk;

                mmu_translate_or_fault(c, NULL, va, ACCESS_EXEC,
                                       c->cpl == 3 ? MMU_USER : MMU_SUPERVISOR, &walk);
                note_large(c, va, walk.shift);
                e->tag = va & PAGE_MASK;
                e->phys = walk.pa & PAGE_MASK;
                e->host = ram_host(c->partition, walk.pa & PAGE_MASK);
                if (!e->host)
                        e->host = rom_host(c->partition, walk.pa & PAGE_MASK);
                e->global = walk.global;
        }
        *word |= bit;
        *ret_phys = e->phys;
        *ret_global = e->global;
        return e->host;
}
