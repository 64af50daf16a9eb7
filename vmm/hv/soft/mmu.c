/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation (SDM volume 3 chapter 4) and the slow paths of memory access. Translations are kept apart for
 * reading, writing and executing, and for user and supervisor; a write translation exists only once the page's dirty
 * bit is set and while no decoded code lies in the page.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"

#define PTE_P UINT64_C(1)
#define PTE_W UINT64_C(2)
#define PTE_U UINT64_C(4)
#define PTE_A UINT64_C(0x20)
#define PTE_D UINT64_C(0x40)
#define PTE_PS UINT64_C(0x80)
#define PTE_G UINT64_C(0x100)
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_RESERVED 8u
#define PF_EXEC 16u

#define PHYS_BITS 40u
#define PTE_RESERVED (UINT64_C(0x000fffffffffffff) & ~((UINT64_C(1) << PHYS_BITS) - 1))

static bool set_bits64(uint8_t *host, uint64_t *entry, uint64_t bits) {
        while ((*entry & bits) != bits)
                if (__atomic_compare_exchange_n((uint64_t *) (void *) host, entry, *entry | bits,
                                                false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
                        *entry |= bits;
                        break;
                } else if (!(*entry & PTE_P)) {
                        return false;
                }
        return true;
}

/* Legacy two-level tables of 4-byte entries. */
static bool walk32(SoftCpu *c, uint64_t va, unsigned access, bool user, uint64_t *ret_pa,
                   bool *ret_global, unsigned *ret_shift, uint32_t *ret_error) {
        uint32_t error = (access == ACCESS_WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0);
        uint64_t table = c->cr3 & 0xfffff000u;
        uint32_t rights = PTE_W | PTE_U;

        for (unsigned level = 2; level-- > 0;) {
                unsigned shift = level ? 22 : 12;
                uint8_t *host = ram_host(c->partition, table + ((va >> shift) & 1023) * 4);
                uint32_t entry, want = PTE_A;
                bool leaf;

                if (!host)
                        goto fault;
                entry = __atomic_load_n((uint32_t *) (void *) host, __ATOMIC_RELAXED);
                if (!(entry & PTE_P))
                        goto fault;
                rights &= entry;
                leaf = level == 0 || ((entry & PTE_PS) && (c->cr4 & CR4_PSE));
                if (leaf) {
                        error |= PF_PRESENT;
                        if (user && !(rights & PTE_U))
                                goto fault;
                        if (access == ACCESS_WRITE && !(rights & PTE_W) &&
                            (user || (c->cr0 & CR0_WP)))
                                goto fault;
                        if (access == ACCESS_WRITE)
                                want |= PTE_D;
                }
                if ((entry & want) != want) {
                        __atomic_fetch_or((uint32_t *) (void *) host, want, __ATOMIC_SEQ_CST);
                        entry |= want;
                }
                if (leaf) {
                        uint64_t mask = (UINT64_C(1) << shift) - 1;

                        *ret_pa = ((uint64_t) entry & 0xfffff000u & ~mask) | (va & mask);
                        *ret_global = (entry & PTE_G) && (c->cr4 & CR4_PGE);
                        *ret_shift = shift;
                        return true;
                }
                table = entry & 0xfffff000u;
        }
fault:
        *ret_error = error;
        return false;
}

/**
 * mmu_translate() - walk the page tables, setting accessed and dirty bits as the access does
 *
 * Return: false with the page fault's error code.
 */
bool mmu_translate(SoftCpu *c, uint64_t va, unsigned access, bool user, uint64_t *ret_pa,
                   bool *ret_global, unsigned *ret_shift, uint32_t *ret_error) {
        bool nx_on = c->efer & EFER_NX, four_levels = cpu_long_mode(c);
        uint32_t error = (access == ACCESS_WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0) |
                         (access == ACCESS_EXEC && nx_on && (c->cr4 & CR4_PAE) ? PF_EXEC : 0);
        uint64_t rights = PTE_W | PTE_U, nx = 0, table;
        unsigned level;

        if (!(c->cr0 & CR0_PG)) {
                *ret_pa = va & UINT32_MAX;
                *ret_global = false;
                *ret_shift = 12;
                return true;
        }
        if (!(c->cr4 & CR4_PAE))
                return walk32(c, va, access, user, ret_pa, ret_global, ret_shift, ret_error);

        level = four_levels ? 4 : 3;
        table = four_levels ? c->cr3 & PTE_ADDR : c->cr3 & 0xffffffe0u;
        while (level-- > 0) {
                unsigned shift = 12 + 9 * level;
                uint64_t index = (va >> shift) & (level == 2 && !four_levels ? 3 : 511);
                uint8_t *host = ram_host(c->partition, table + index * 8);
                uint64_t entry, want = PTE_A, reserved = PTE_RESERVED | (nx_on ? 0 : PTE_NX);
                bool leaf, pdpte = level == 2 && !four_levels;

                if (!host)
                        goto fault;
                entry = __atomic_load_n((uint64_t *) (void *) host, __ATOMIC_RELAXED);
        again:
                if (!(entry & PTE_P))
                        goto fault;
                leaf = level == 0 || (!pdpte && (level == 1 || level == 2) && (entry & PTE_PS));
                if (level == 3 && (entry & PTE_PS))
                        reserved |= PTE_PS;
                if (leaf && level > 0)
                        reserved |= ((UINT64_C(1) << shift) - 1) & PTE_ADDR & ~UINT64_C(0x1000);
                if (entry & reserved) {
                        error |= PF_PRESENT | PF_RESERVED;
                        goto fault;
                }
                if (!pdpte) {
                        rights &= entry;
                        nx |= entry & PTE_NX;
                }
                if (leaf) {
                        error |= PF_PRESENT;
                        if (user && !(rights & PTE_U))
                                goto fault;
                        if (access == ACCESS_WRITE && !(rights & PTE_W) &&
                            (user || (c->cr0 & CR0_WP)))
                                goto fault;
                        if (access == ACCESS_EXEC && nx_on && nx)
                                goto fault;
                        if (access == ACCESS_WRITE)
                                want |= PTE_D;
                }
                if (!pdpte && (entry & want) != want) {
                        if (!set_bits64(host, &entry, want))
                                goto again;
                }
                if (leaf) {
                        uint64_t mask = (UINT64_C(1) << shift) - 1;

                        *ret_pa = (entry & PTE_ADDR & ~mask) | (va & mask);
                        *ret_global = (entry & PTE_G) && (c->cr4 & CR4_PGE);
                        *ret_shift = shift;
                        return true;
                }
                table = entry & PTE_ADDR;
        }
fault:
        *ret_error = error;
        return false;
}

_Noreturn static void page_fault(SoftCpu *c, const Uop *u, uint64_t va, uint32_t error) {
        c->cr2 = va;
        cpu_raise_code(c, u, EXC_PF, error);
}

/* In 64-bit mode only the stack's own instructions are without a segment of an operand, which reads as ES. */
static bool stack_segment(const Uop *u) {
        return u->seg == SEG_SS || u->seg == SEG_ES;
}

/* An access that ends beyond the canonical addresses does not get as far as a page fault where it begins. */
static void check_crossing(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        if (cpu_long_mode(c) && unlikely(!is_canonical(va + size - 1)))
                cpu_raise_code(c, u, u && stack_segment(u) ? EXC_SS : EXC_GP, 0);
}

/* The physical address of one byte, or the fault. */
static uint64_t translate(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, bool user,
                          bool *ret_global, unsigned *ret_shift) {
        uint32_t error;
        uint64_t pa;

        if (cpu_long_mode(c)) {
                if (unlikely(!is_canonical(va)))
                        cpu_raise_code(c, u, u && stack_segment(u) ? EXC_SS : EXC_GP, 0);
        } else {
                va &= UINT32_MAX;
        }
        if (!mmu_translate(c, va, access, user, &pa, ret_global, ret_shift, &error))
                page_fault(c, u, va, error);
        return pa;
}

/* The word and bit that stand for the 4 MiB around @va among those with large pages. */
static uint64_t *large_word(SoftCpu *c, uint64_t va, uint64_t *ret_bit) {
        unsigned at = (unsigned) ((va >> 22 ^ va >> 34) % LARGE_REGIONS);

        *ret_bit = UINT64_C(1) << at % 64;
        return &c->large[at / 64];
}

static void note_large(SoftCpu *c, uint64_t va, unsigned shift) {
        uint64_t bit, *word = large_word(c, va, &bit);

        if (shift > 12)
                *word |= bit;
}

static void tlb_fill(Tlb *tlb, uint64_t va, const uint8_t *host, bool write, bool global) {
        unsigned i = (va >> 12) % TLB_ENTRIES;
        TlbEntry *e = write ? &tlb->write[i] : &tlb->read[i];
        uint8_t bit = write ? 2 : 1;

        e->tag = va & PAGE_MASK;
        e->addend = (uint64_t) (uintptr_t) host - va;
        tlb->global[i] = (uint8_t) ((tlb->global[i] & ~bit) | (global ? bit : 0));
}

/* Everything but a page's first and plain access comes here: returns host memory, or NULL for devices. */
static uint8_t *resolve(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, bool user,
                        uint64_t *ret_pa) {
        unsigned shift;
        bool global;
        uint64_t pa = translate(c, u, va, access, user, &global, &shift);
        uint8_t *host = ram_host(c->partition, pa);
        Tlb *tlb = &c->tlbs[user ? 1 : 0];

        if (!host && access != ACCESS_WRITE)
                host = (uint8_t *) (uintptr_t) rom_host(c->partition, pa);

        note_large(c, va, shift);
        *ret_pa = pa;
        if (!host || !(c->cr0 & CR0_PG ? true : va <= UINT32_MAX))
                return host;
        if (!cpu_long_mode(c) && va > UINT32_MAX)
                return host; /* wrapped: the fast path would look up another page */
        if (unlikely(debug_page_watched(c, va)))
                return host;
        if (access == ACCESS_WRITE) {
                if (!ram_page_has_code(c->partition, pa))
                        tlb_fill(tlb, va, host, true, global);
        } else if (access == ACCESS_READ) {
                tlb_fill(tlb, va, host, false, global);
        }
        return host;
}

static uint64_t device_read(SoftCpu *c, uint64_t pa, unsigned size) {
        if (lapic_claims(c->lapic, pa))
                return lapic_mmio_read(c->lapic, (uint32_t) (pa & 0xff0));
        return c->io->mmio_read(c->io->machine, pa, size);
}

static void device_write(SoftCpu *c, uint64_t pa, unsigned size, uint64_t value) {
        if (lapic_claims(c->lapic, pa))
                lapic_mmio_write(c->lapic, (uint32_t) (pa & 0xff0), (uint32_t) value);
        else
                c->io->mmio_write(c->io->machine, pa, size, value);
}

static uint64_t read_at(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool user) {
        uint64_t pa, value = 0;
        uint8_t *host;

        if ((va & 0xfff) + size > 0x1000) {
                unsigned first = 0x1000 - (unsigned) (va & 0xfff);
                uint8_t bytes[8] = {0};

                check_crossing(c, u, va, size);
                for (unsigned i = 0; i < size;) {
                        unsigned n = i == 0 ? first : size - first;

                        host = resolve(c, u, va + i, ACCESS_READ, user, &pa);
                        if (host)
                                memcpy(bytes + i, host, n);
                        else
                                for (unsigned k = 0; k < n; k++)
                                        bytes[i + k] = (uint8_t) device_read(c, pa + k, 1);
                        i += n;
                }
                memcpy(&value, bytes, 8);
                return value;
        }
        host = resolve(c, u, va, ACCESS_READ, user, &pa);
        if (!host)
                return device_read(c, pa, size);
        switch (size) {
        case 1:
                return *host;
        case 2:
                return *(volatile u16u *) host;
        case 4:
                return *(volatile u32u *) host;
        default:
                return *(volatile u64u *) host;
        }
}

/**
 * mem_read_slow() - read @size bytes (1..8) with the rights of the current privilege; faults. Any
 * alignment.
 */
uint64_t mem_read_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        uint64_t value = read_at(c, u, va, size, c->cpl == 3);

        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, false);
        return value;
}

/**
 * mem_read_system() - the same as the processor itself reads descriptors and stacks: as supervisor
 */
uint64_t mem_read_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        return read_at(c, u, va, size, false);
}

/* Code in the page that was just written is decoded again; the block at hand ends after this instruction. */
static void code_written(SoftCpu *c, const Uop *u, uint64_t pa);

static void uop_stop(SoftCpu *c, const Uop *u) {
        c->rip = uop_rip(c, u) & ip_mask(c);
}

static void code_written(SoftCpu *c, const Uop *u, uint64_t pa) {
        ram_page_written(c->partition, pa, false);
        /* Blocks belong to this processor alone, so the one that is running may be cut short. */
        if (u && !(u->op & 0x80))
                ((Uop *) (uintptr_t) u)[1].fn = uop_stop;
}

static void write_part(SoftCpu *c, const Uop *u, uint64_t pa, uint8_t *host, const void *data,
                       unsigned n) {
        if (host) {
                switch (n) {
                case 1:
                        *(volatile uint8_t *) host = *(const uint8_t *) data;
                        break;
                case 2:
                        *(volatile u16u *) host = *(const u16u *) data;
                        break;
                case 4:
                        *(volatile u32u *) host = *(const u32u *) data;
                        break;
                case 8:
                        *(volatile u64u *) host = *(const u64u *) data;
                        break;
                default:
                        memcpy(host, data, n);
                        break;
                }
                if (ram_page_has_code(c->partition, pa))
                        code_written(c, u, pa);
        } else if (n == 1 || n == 2 || n == 4 || n == 8) {
                uint64_t value = 0;

                memcpy(&value, data, n);
                device_write(c, pa, n, value);
                /* An interrupt that this caused comes at once: from now on the block ends here. */
                if (u && !(u->op & 0x80) &&
                    atomic_load_explicit(&c->attention, memory_order_relaxed))
                        ((Uop *) (uintptr_t) u)[1].fn = uop_stop;
        } else {
                for (unsigned i = 0; i < n; i++)
                        device_write(c, pa + i, 1, ((const uint8_t *) data)[i]);
        }
}

static void write_at(SoftCpu *c, const Uop *u, uint64_t va, const void *data, unsigned size,
                     bool user) {
        uint64_t pa, pa2 = 0;
        uint8_t *host, *host2;

        if ((va & 0xfff) + size > 0x1000)
                check_crossing(c, u, va, size);
        host = resolve(c, u, va, ACCESS_WRITE, user, &pa);
        if ((va & 0xfff) + size <= 0x1000) {
                write_part(c, u, pa, host, data, size);
                return;
        }
        unsigned first = 0x1000 - (unsigned) (va & 0xfff);

        host2 = resolve(c, u, va + first, ACCESS_WRITE, user,
                        &pa2); /* both pages, before either is changed */
        write_part(c, u, pa, host, data, first);
        write_part(c, u, pa2, host2, (const uint8_t *) data + first, size - first);
}

/**
 * mem_write_slow() - write @size bytes (1..8) with the rights of the current privilege; all of
 * them or a fault
 */
void mem_write_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value) {
        write_at(c, u, va, &value, size, c->cpl == 3);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, true);
}

/** mem_write_system() - the same as supervisor */
void mem_write_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value) {
        write_at(c, u, va, &value, size, false);
}

/** mem_read_bytes() - up to a page, all or a fault */
void mem_read_bytes(SoftCpu *c, const Uop *u, uint64_t va, void *data, unsigned len) {
        const uint8_t *p = tlb_hit(c->tlb->read, va, len);
        uint8_t *out = data;

        if (p) {
                memcpy(data, p, len);
                return;
        }
        check_crossing(c, u, va, len);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, len, false);
        for (unsigned i = 0; i < len;) {
                unsigned n = MIN(len - i, 0x1000 - (unsigned) ((va + i) & 0xfff));
                uint64_t pa;
                uint8_t *host = resolve(c, u, va + i, ACCESS_READ, c->cpl == 3, &pa);

                if (host)
                        memcpy(out + i, host, n);
                else
                        for (unsigned k = 0; k < n; k++)
                                out[i + k] = (uint8_t) device_read(c, pa + k, 1);
                i += n;
        }
}

/** mem_write_bytes() - up to a page, all or a fault */
void mem_write_bytes(SoftCpu *c, const Uop *u, uint64_t va, const void *data, unsigned len) {
        uint8_t *p = tlb_hit(c->tlb->write, va, len);

        if (p) {
                memcpy(p, data, len);
                return;
        }
        write_at(c, u, va, data, len, c->cpl == 3);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, len, true);
}

/* The slow half of mem_begin(): code pages get their real memory and an end hook, everything odd gets a copy. */
uint8_t *mem_begin_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool read) {
        uint64_t pa;
        uint8_t *host;

        (void) read;
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, true);
        c->post_va = va;
        c->post_size = (uint8_t) size;
        if ((va & 0xfff) + size <= 0x1000) {
                host = resolve(c, u, va, ACCESS_WRITE, c->cpl == 3, &pa);
                if (host) {
                        if (!ram_page_has_code(c->partition, pa))
                                return host;
                        c->post_bounce = false;
                        c->post_va = pa;
                        c->post_write = 1;
                        return host;
                }
        } else {
                check_crossing(c, u, va, size);
                (void) resolve(c, u, va, ACCESS_WRITE, c->cpl == 3, &pa);
                (void) resolve(c, u, (va | 0xfff) + 1, ACCESS_WRITE, c->cpl == 3, &pa);
        }
        mem_read_bytes(c, u, va, c->bounce, size);
        c->post_bounce = true;
        c->post_write = 1;
        return c->bounce;
}

void mem_end_slow(SoftCpu *c, const Uop *u) {
        c->post_write = 0;
        if (c->post_bounce)
                write_at(c, u, c->post_va, c->bounce, c->post_size, c->cpl == 3);
        else
                code_written(c, u, c->post_va);
}

/* ---- effective addresses outside flat 64-bit code ---- */

/**
 * ea_slow() - the linear address of @u's operand with segment base, limit and address size; faults
 */
uint64_t ea_slow(SoftCpu *c, const Uop *u) {
        uint64_t offset = ea_offset(c, u);

        if (cpu_code64(c))
                return c->seg_base_effective[u->seg] + offset;
        if (cpu_protected(c)) {
                const Segment *s = &c->seg[u->seg];
                unsigned type = s->attr & SEG_ATTR_TYPE;

                if (!(s->attr & SEG_ATTR_P))
                        cpu_raise_code(c, u, u->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
                /* Expand-down data segments allow what lies above the limit. */
                if ((type & 0xc) == 4 ? offset <= s->limit : offset > s->limit)
                        cpu_raise_code(c, u, u->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
        }
        return (c->seg[u->seg].base + offset) & UINT32_MAX;
}

/* ---- flushing ---- */

/** mmu_flush_all() - forget every translation */
void mmu_flush_all(SoftCpu *c) {
        for (unsigned m = 0; m < 2; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        c->tlbs[m].read[i].tag = TLB_INVALID;
                        c->tlbs[m].write[i].tag = TLB_INVALID;
                        c->exec_tlb[m][i].tag = TLB_INVALID;
                }
        memset(c->large, 0, sizeof(c->large));
        block_generation_next(c, true);
}

/** mmu_flush_nonglobal() - forget what a write to CR3 forgets */
void mmu_flush_nonglobal(SoftCpu *c) {
        for (unsigned m = 0; m < 2; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        if (!(c->tlbs[m].global[i] & 1))
                                c->tlbs[m].read[i].tag = TLB_INVALID;
                        if (!(c->tlbs[m].global[i] & 2))
                                c->tlbs[m].write[i].tag = TLB_INVALID;
                        if (!c->exec_tlb[m][i].global)
                                c->exec_tlb[m][i].tag = TLB_INVALID;
                }
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
static void flush_region(SoftCpu *c, uint64_t va) {
        for (unsigned m = 0; m < 2; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        if ((c->tlbs[m].read[i].tag ^ va) >> 22 == 0)
                                c->tlbs[m].read[i].tag = TLB_INVALID;
                        if ((c->tlbs[m].write[i].tag ^ va) >> 22 == 0)
                                c->tlbs[m].write[i].tag = TLB_INVALID;
                        if ((c->exec_tlb[m][i].tag ^ va) >> 22 == 0)
                                c->exec_tlb[m][i].tag = TLB_INVALID;
                }
        block_generation_next(c, true);
}

/** mmu_flush_page() - forget the translations of the page around @va, of whatever size, global or not (INVLPG) */
void mmu_flush_page(SoftCpu *c, uint64_t va) {
        unsigned i = (va >> 12) % TLB_ENTRIES;
        uint64_t bit, *word = large_word(c, va, &bit);

        if (*word & bit) {
                flush_region(c, va);
                return;
        }
        for (unsigned m = 0; m < 2; m++) {
                c->tlbs[m].read[i].tag = TLB_INVALID;
                c->tlbs[m].write[i].tag = TLB_INVALID;
                c->exec_tlb[m][i].tag = TLB_INVALID;
        }
        if (fetched_from(c, va))
                block_generation_next(c, true);
}

/** mmu_drop_writes() - forget write translations: of one page of host memory, or all for NULL */
void mmu_drop_writes(SoftCpu *c, const uint8_t *host_page) {
        for (unsigned m = 0; m < 2; m++)
                for (unsigned i = 0; i < TLB_ENTRIES; i++) {
                        TlbEntry *e = &c->tlbs[m].write[i];

                        if (!host_page || e->tag + e->addend == (uint64_t) (uintptr_t) host_page)
                                e->tag = TLB_INVALID;
                }
}

/**
 * mmu_fetch_page() - the page that the instruction at @va lies in
 * @ret_phys:   its physical address
 * @ret_global: whether the translation is global
 *
 * Faults as instruction fetches do, with rip as it is. Return: host memory, or NULL where there is no RAM.
 */
const uint8_t *mmu_fetch_page(SoftCpu *c, uint64_t va, uint64_t *ret_phys, bool *ret_global) {
        uint64_t bit, *word = fetched_word(c, va, &bit);
        ExecTlbEntry *e = &c->exec_tlb[c->cpl == 3][(va >> 12) % TLB_ENTRIES];

        if (e->tag != (va & PAGE_MASK)) {
                unsigned shift;
                uint64_t pa;
                bool global;

                pa = translate(c, NULL, va, ACCESS_EXEC, c->cpl == 3, &global, &shift);
                note_large(c, va, shift);
                e->tag = va & PAGE_MASK;
                e->phys = pa & PAGE_MASK;
                e->host = ram_host(c->partition, pa & PAGE_MASK);
                if (!e->host)
                        e->host = rom_host(c->partition, pa & PAGE_MASK);
                e->global = global;
        }
        *word |= bit;
        *ret_phys = e->phys;
        *ret_global = e->global;
        return e->host;
}
