/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address translation (SDM volume 3 chapter 4) and the slow paths of memory access. Translations are kept apart for
 * reading, writing and executing, and for user and supervisor; a write translation exists only once the page's dirty
 * bit is set and while no decoded code lies in the page. A protection key's rights are looked at when the page tables are,
 * so that what is cached needs no second look; see keys.c.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft_internal.h"

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
#define PF_KEY 32u

#define PHYS_BITS 40u
#define PTE_RESERVED (UINT64_C(0x000fffffffffffff) & ~((UINT64_C(1) << PHYS_BITS) - 1))

static void note_dirty(SoftCpu *c, uint64_t pa) {
        const GuestMem *mem = c->partition->mem;

        if (unlikely(guest_mem_dirty_on(mem)))
                guest_mem_dirty_mark(mem, pa, 1);
}

/* Sets @bits of the entry that was read as @entry. Return: false when it has changed; @entry is then the new one. */
static bool set_bits64(uint8_t *host, uint64_t *entry, uint64_t bits) {
        return (*entry & bits) == bits ||
               __atomic_compare_exchange_n((uint64_t *) (void *) host, entry, *entry | bits, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Whether the path to a page allows the access. @rights: PTE_W and PTE_U as all levels have them */
static bool allowed(const SoftCpu *c, unsigned access, unsigned role, uint64_t rights, bool nx) {
        const bool user = role == MMU_USER;

        if (access == ACCESS_PEEK)
                return true;
        if (user && !(rights & PTE_U))
                return false;
        if (!user && (rights & PTE_U)) {
                if (access == ACCESS_EXEC && (c->cr4 & CR4_SMEP))
                        return false;
                if (access != ACCESS_EXEC && role == MMU_SUPERVISOR && (c->cr4 & CR4_SMAP))
                        return false;
        }
        if (access == ACCESS_WRITE && !(rights & PTE_W) && (user || (c->cr0 & CR0_WP)))
                return false;
        return access != ACCESS_EXEC || !nx;
}

static uint32_t wanted_bits(unsigned access, bool leaf) {
        if (access == ACCESS_PEEK)
                return 0;
        return PTE_A | (leaf && access == ACCESS_WRITE ? PTE_D : 0);
}

static bool walk_ends(const SoftCpu *c, uint64_t entry, uint64_t va, unsigned shift, MmuWalk *ret) {
        const uint64_t mask = (UINT64_C(1) << shift) - 1;

        ret->pa = (entry & PTE_ADDR & ~mask) | (va & mask);
        ret->global = (entry & PTE_G) && (c->cr4 & CR4_PGE);
        ret->shift = shift;
        return true;
}

/* Legacy two-level tables of 4-byte entries. */
static bool walk32(SoftCpu *c, uint64_t va, unsigned access, unsigned role, MmuWalk *ret) {
        uint64_t table = c->cr3 & 0xfffff000u;
        uint32_t rights = PTE_W | PTE_U;

        for (unsigned level = 2; level-- > 0;) {
                unsigned shift = level ? 22 : 12;
                uint8_t *host = ram_host(c->partition, table + ((va >> shift) & 1023) * 4);
                uint32_t entry, want;
                bool leaf;

                if (!host)
                        return false;
                entry = __atomic_load_n((uint32_t *) (void *) host, __ATOMIC_RELAXED);
                if (!(entry & PTE_P))
                        return false;
                rights &= entry;
                leaf = level == 0 || ((entry & PTE_PS) && (c->cr4 & CR4_PSE));
                if (leaf) {
                        ret->error |= PF_PRESENT;
                        if (!allowed(c, access, role, rights, false))
                                return false;
                }
                want = wanted_bits(access, leaf);
                if ((entry & want) != want) {
                        note_dirty(c, table + ((va >> shift) & 1023) * 4);
                        __atomic_fetch_or((uint32_t *) (void *) host, want, __ATOMIC_SEQ_CST);
                        entry |= want;
                }
                if (leaf)
                        return walk_ends(c, entry, va, shift, ret);
                table = entry & 0xfffff000u;
        }
        return false;
}

/* The bits of a present entry that must be clear. @level: 0 is that of 4 KiB pages */
static uint64_t reserved_bits(const SoftCpu *c, uint64_t entry, unsigned level, bool leaf) {
        uint64_t reserved = PTE_RESERVED | (c->efer & EFER_NX ? 0 : PTE_NX);

        if (level == 3)
                reserved |= PTE_PS;
        if (level == 2 && leaf && !soft_has(c, CPU_FEATURE_PDPE1GB))
                reserved |= PTE_PS;
        if (level > 0 && leaf)
                reserved |= ((UINT64_C(1) << (12 + 9 * level)) - 1) & PTE_ADDR & ~UINT64_C(0x1000);
        return entry & reserved;
}

/* The page fault tells of a key that refuses, whatever else does. */
static bool key_refuses(const SoftCpu *c, unsigned access, unsigned role, uint64_t entry,
                        uint64_t rights, MmuWalk *ret) {
        if (likely(!(c->cr4 & (CR4_PKE | CR4_PKS))))
                return false;
        ret->key = (uint8_t) keys_of(c, entry, rights & PTE_U);
        if (!keys_refuse(c, access, role, entry, rights & PTE_U))
                return false;
        ret->error |= PF_KEY;
        return true;
}

/* Tables of 8-byte entries: three levels, four in long mode. */
static bool walk64(SoftCpu *c, uint64_t va, unsigned access, unsigned role, MmuWalk *ret) {
        const bool four_levels = cpu_long_mode(c);
        uint64_t rights = PTE_W | PTE_U, nx = 0;
        uint64_t table = four_levels ? c->cr3 & PTE_ADDR : c->cr3 & 0xffffffe0u;

        for (unsigned level = four_levels ? 4 : 3; level-- > 0;) {
                const bool pdpte = level == 2 && !four_levels;
                unsigned shift = 12 + 9 * level;
                uint64_t index = (va >> shift) & (pdpte ? 3 : 511), entry, want, path, path_nx;
                uint8_t *host = ram_host(c->partition, table + index * 8);
                bool leaf;

                if (!host)
                        return false;
                entry = __atomic_load_n((uint64_t *) (void *) host, __ATOMIC_RELAXED);
                do {
                        if (!(entry & PTE_P))
                                return false;
                        leaf = level == 0 || (!pdpte && level < 3 && (entry & PTE_PS));
                        if (reserved_bits(c, entry, level, leaf)) {
                                ret->error |= PF_PRESENT | PF_RESERVED;
                                return false;
                        }
                        path = pdpte ? rights : rights & entry;
                        path_nx = pdpte ? nx : nx | (entry & PTE_NX);
                        if (leaf) {
                                bool refused = four_levels &&
                                               key_refuses(c, access, role, entry, path, ret);

                                ret->error |= PF_PRESENT;
                                if (!allowed(c, access, role, path, path_nx) || refused)
                                        return false;
                        }
                        want = pdpte ? 0 : wanted_bits(access, leaf);
                        if ((entry & want) != want)
                                note_dirty(c, table + index * 8);
                } while (!set_bits64(host, &entry, want));
                if (leaf)
                        return walk_ends(c, entry, va, shift, ret);
                rights = path;
                nx = path_nx;
                table = entry & PTE_ADDR;
        }
        return false;
}

/**
 * mmu_translate() - walk the page tables, setting accessed and dirty bits as the access does
 * @access: ACCESS_*
 * @role:   MMU_*
 * @ret:    the page; on failure its .error is that of the page fault
 */
bool mmu_translate(SoftCpu *c, uint64_t va, unsigned access, unsigned role, MmuWalk *ret) {
        const bool fetches_told =
                ((c->efer & EFER_NX) && (c->cr4 & CR4_PAE)) || (c->cr4 & CR4_SMEP);

        *ret = (MmuWalk){.error = (access == ACCESS_WRITE ? PF_WRITE : 0) |
                                  (role == MMU_USER ? PF_USER : 0) |
                                  (access == ACCESS_EXEC && fetches_told ? PF_EXEC : 0)};
        if (!(c->cr0 & CR0_PG)) {
                ret->pa = va & UINT32_MAX;
                ret->shift = 12;
                return true;
        }
        return c->cr4 & CR4_PAE ? walk64(c, va, access, role, ret)
                                : walk32(c, va, access, role, ret);
}

#define PDPTE_RESERVED UINT64_C(0x1e6)
#define PDPTES 4u

/**
 * mmu_pdptes_valid() - whether the four entries of the highest level of PAE's tables at @cr3 may be loaded, as they are
 * when paging begins and when @cr3 is
 */
bool mmu_pdptes_valid(SoftCpu *c, uint64_t cr3) {
        const uint64_t reserved = PDPTE_RESERVED | ~((UINT64_C(1) << PHYS_BITS) - 1);

        for (unsigned i = 0; i < PDPTES; i++) {
                const uint8_t *host = ram_host(c->partition, (cr3 & 0xffffffe0u) + i * 8);
                const uint64_t entry =
                        host ? __atomic_load_n((const uint64_t *) (const void *) host,
                                               __ATOMIC_RELAXED)
                             : 0;

                if ((entry & PTE_P) && (entry & reserved))
                        return false;
        }
        return true;
}

/* What every access misses in, so that its alignment is looked at. */
static const Tlb no_translations = {
        .read = {[0 ... TLB_ENTRIES - 1] = {.tag = TLB_INVALID}},
        .write = {[0 ... TLB_ENTRIES - 1] = {.tag = TLB_INVALID}},
};

/** mmu_role_changed() - CPL, EFLAGS.AC, CR0.AM or CR4.SMAP have changed: whose rights do data accesses have now? */
void mmu_role_changed(SoftCpu *c) {
        c->aligned = c->cpl == 3 && (c->flags & FLAG_AC) && (c->cr0 & CR0_AM);
        c->role = c->cpl == 3                                             ? MMU_USER
                  : unlikely((c->cr4 & CR4_SMAP) && (c->flags & FLAG_AC)) ? MMU_SUPERVISOR_AC
                                                                          : MMU_SUPERVISOR;
        c->tlb = unlikely(c->aligned) ? &no_translations : &c->tlbs[c->role];
        if (unlikely(c->role >= c->n_tlbs))
                c->n_tlbs = MMU_ROLES;
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
static void translate(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, unsigned role,
                      MmuWalk *ret) {
        if (cpu_long_mode(c)) {
                if (unlikely(!is_canonical(va)))
                        cpu_raise_code(c, u, u && stack_segment(u) ? EXC_SS : EXC_GP, 0);
        } else {
                va &= UINT32_MAX;
        }
        if (!mmu_translate(c, va, access, role, ret))
                page_fault(c, u, va, ret->error);
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

static void note_large(SoftCpu *c, uint64_t va, unsigned shift) {
        uint64_t bit, *word = large_word(c, va, &bit);

        if (shift > 12)
                *word |= bit;
        if (unlikely(shift == HUGE_SHIFT))
                c->huge |= huge_bit(va);
}

static void tlb_fill(SoftCpu *c, Tlb *tlb, uint64_t va, const uint8_t *host, bool write,
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

/* Everything but a page's first and plain access comes here: returns host memory, or NULL for devices. */
static uint8_t *resolve(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, unsigned role,
                        uint64_t *ret_pa) {
        Tlb *tlb = &c->tlbs[role];
        uint8_t *host;
        MmuWalk walk;

        translate(c, u, va, access, role, &walk);
        host = ram_host(c->partition, walk.pa);
        if (!host && access != ACCESS_WRITE)
                host = (uint8_t *) (uintptr_t) rom_host(c->partition, walk.pa);
        note_large(c, va, walk.shift);
        *ret_pa = walk.pa;
        if (host && access == ACCESS_WRITE)
                note_dirty(c, walk.pa);
        if (!host || !(c->cr0 & CR0_PG ? true : va <= UINT32_MAX))
                return host;
        if (!cpu_long_mode(c) && va > UINT32_MAX)
                return host; /* wrapped: the fast path would look up another page */
        if (unlikely(debug_page_watched(c, va)))
                return host;
        if (access == ACCESS_WRITE) {
                if (!ram_page_has_code(c->partition, walk.pa))
                        tlb_fill(c, tlb, va, host, true, &walk);
        } else if (access == ACCESS_READ) {
                tlb_fill(c, tlb, va, host, false, &walk);
        }
        return host;
}

/* What the address of an operand of @size bytes must be a multiple of (SDM volume 3 table 6-7). */
static unsigned alignment_of(unsigned size) {
        if (size <= 16 && (size & (size - 1)) == 0)
                return size;
        return size == 10      ? 8
               : size % 4 == 0 ? 4
                               : 2; /* x87: a register, or an image of many words */
}

/* #AC for a user's operand that is not aligned, before the page tables are looked at. */
static void check_alignment(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, unsigned role) {
        if (likely(!c->aligned) || role != MMU_USER || (va & (alignment_of(size) - 1)) == 0)
                return;
        check_crossing(c, u, va, 1);
        check_crossing(c, u, va, size);
        cpu_raise_code(c, u, EXC_AC, 0);
}

/** mem_need_aligned() - #AC where the current privilege must align an operand of @size bytes and has not */
void mem_need_aligned(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        check_alignment(c, u, va, size, c->role);
}

static uint64_t device_read(SoftCpu *c, uint64_t pa, unsigned size) {
        uint64_t value;

        if (lapic_claims(c->lapic, pa))
                return lapic_mmio_read(c->lapic, (uint32_t) (pa & 0xff0));
        value = c->io->mmio_read(c->io->machine, pa, size);
        cpu_notice_stop(c);
        return value;
}

static void device_write(SoftCpu *c, uint64_t pa, unsigned size, uint64_t value) {
        if (lapic_claims(c->lapic, pa)) {
                lapic_mmio_write(c->lapic, (uint32_t) (pa & 0xff0), (uint32_t) value);
                return;
        }
        c->io->mmio_write(c->io->machine, pa, size, value);
        cpu_notice_stop(c);
}

static uint64_t read_at(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, unsigned role) {
        uint64_t pa, value = 0;
        uint8_t *host;

        check_alignment(c, u, va, size, role);
        if ((va & 0xfff) + size > 0x1000) {
                unsigned first = 0x1000 - (unsigned) (va & 0xfff);
                uint8_t bytes[8] = {0};

                check_crossing(c, u, va, size);
                for (unsigned i = 0; i < size;) {
                        unsigned n = i == 0 ? first : size - first;

                        host = resolve(c, u, va + i, ACCESS_READ, role, &pa);
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
        host = resolve(c, u, va, ACCESS_READ, role, &pa);
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
        uint64_t value = read_at(c, u, va, size, c->role);

        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, false);
        return value;
}

/**
 * mem_read_system() - the same as the processor itself reads descriptors and stacks: as supervisor
 */
uint64_t mem_read_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        return read_at(c, u, va, size, MMU_SUPERVISOR);
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
                     unsigned role) {
        uint64_t pa, pa2 = 0;
        uint8_t *host, *host2;

        check_alignment(c, u, va, size, role);
        if ((va & 0xfff) + size > 0x1000)
                check_crossing(c, u, va, size);
        host = resolve(c, u, va, ACCESS_WRITE, role, &pa);
        if ((va & 0xfff) + size <= 0x1000) {
                write_part(c, u, pa, host, data, size);
                return;
        }
        unsigned first = 0x1000 - (unsigned) (va & 0xfff);

        host2 = resolve(c, u, va + first, ACCESS_WRITE, role,
                        &pa2); /* both pages, before either is changed */
        write_part(c, u, pa, host, data, first);
        write_part(c, u, pa2, host2, (const uint8_t *) data + first, size - first);
}

/**
 * mem_write_slow() - write @size bytes (1..8) with the rights of the current privilege; all of
 * them or a fault
 */
void mem_write_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value) {
        write_at(c, u, va, &value, size, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, true);
}

/** mem_write_system() - the same as supervisor */
void mem_write_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value) {
        write_at(c, u, va, &value, size, MMU_SUPERVISOR);
}

/** mem_write_as() - the same with the rights of @role (MMU_*), which is not the current one */
void mem_write_as(SoftCpu *c, const Uop *u, unsigned role, uint64_t va, unsigned size,
                  uint64_t value) {
        write_at(c, u, va, &value, size, role);
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
        check_alignment(c, u, va, len, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, len, false);
        for (unsigned i = 0; i < len;) {
                unsigned n = MIN(len - i, 0x1000 - (unsigned) ((va + i) & 0xfff));
                uint64_t pa;
                uint8_t *host = resolve(c, u, va + i, ACCESS_READ, c->role, &pa);

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
        write_at(c, u, va, data, len, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, len, true);
}

/* In place: the pages may hold code. */
static void begin_in_place(SoftCpu *c, uint64_t pa, uint64_t pa2) {
        c->post_bounce = false;
        c->post_pa[0] = pa;
        c->post_pa[1] = pa2;
        c->post_write = 1;
}

/* An operand in two pages, both of which are known to be writable then. Return: its place, NULL when it must be copied. */
static uint8_t *begin_split(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool locked) {
        uint64_t pa, pa2;
        uint8_t *first, *second, *place;

        check_crossing(c, u, va, size);
        first = resolve(c, u, va, ACCESS_WRITE, c->role, &pa);
        second = resolve(c, u, (va | 0xfff) + 1, ACCESS_WRITE, c->role, &pa2);
        if (!locked || !first || !second)
                return NULL;
        place = split_begin(c, first, second);
        if (place)
                begin_in_place(c, pa, pa2);
        return place;
}

/** mem_begin_slow() - the slow half of mem_begin(): code pages get their real memory and an end hook, everything odd gets a copy */
uint8_t *mem_begin_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool locked) {
        uint64_t pa;
        uint8_t *host;

        check_alignment(c, u, va, size, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, true);
        c->post_va = va;
        c->post_size = (uint8_t) size;
        if ((va & 0xfff) + size <= 0x1000) {
                host = resolve(c, u, va, ACCESS_WRITE, c->role, &pa);
                if (host) {
                        if (ram_page_has_code(c->partition, pa))
                                begin_in_place(c, pa, pa);
                        return host;
                }
        } else {
                host = begin_split(c, u, va, size, locked);
                if (host)
                        return host;
        }
        mem_read_bytes(c, u, va, c->bounce, size);
        c->post_bounce = true;
        c->post_write = 1;
        return c->bounce;
}

/** mem_end_slow() - the operand of mem_begin_slow() was changed */
void mem_end_slow(SoftCpu *c, const Uop *u) {
        c->post_write = 0;
        if (c->post_bounce) {
                write_at(c, u, c->post_va, c->bounce, c->post_size, c->role);
                return;
        }
        split_end(c);
        for (unsigned i = 0; i < 2; i++)
                if (ram_page_has_code(c->partition, c->post_pa[i]))
                        code_written(c, u, c->post_pa[i]);
}

/* ---- effective addresses outside flat 64-bit code ---- */

/* Whether the segment allows what the instruction does with its operand; selectors give rights where they name descriptors. */
static bool segment_allows(const SoftCpu *c, const Uop *u, const Segment *s, uint64_t offset) {
        static const uint16_t lengths[16] = {1, 2, 4, 8, 16, 6, 10, 14, 28, 94, 108, 512, 576};
        const unsigned type = s->attr & SEG_ATTR_TYPE;
        const uint64_t last = offset + lengths[EA_BYTES_CODE(u->ea)] - 1;

        if (cpu_descriptors(c) &&
            (!(s->attr & SEG_ATTR_P) || (u->ea & EA_WRITE ? (type & 0xa) != 2 : (type & 0xa) == 8)))
                return false;
        if ((type & 0xc) == 4) /* expand-down: what lies above the limit */
                return offset > s->limit && last <= (s->attr & SEG_ATTR_DB ? UINT32_MAX : 0xffff);
        return last <= s->limit || s->limit == UINT32_MAX;
}

/**
 * ea_slow() - the linear address of @u's operand with segment base, limit, rights and address size; faults
 */
uint64_t ea_slow(SoftCpu *c, const Uop *u) {
        const uint64_t offset = ea_offset(c, u);
        const Segment *s = &c->seg[u->seg];

        if (cpu_code64(c))
                return c->seg_base_effective[u->seg] + offset;
        if (unlikely(!segment_allows(c, u, s, offset)))
                cpu_raise_code(c, u, u->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
        return (s->base + offset) & UINT32_MAX;
}

/* ---- flushing ---- */

/** mmu_flush_all() - forget every translation */
void mmu_flush_all(SoftCpu *c) {
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

/** mmu_flush_nonglobal() - forget what a write to CR3 forgets */
void mmu_flush_nonglobal(SoftCpu *c) {
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

/** mmu_flush_page() - forget the translations of the page around @va, of whatever size, global or not (INVLPG) */
void mmu_flush_page(SoftCpu *c, uint64_t va) {
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

/** mmu_flush_keyed() - forget the data translations of all pages with a protection key but 0 */
void mmu_flush_keyed(SoftCpu *c) {
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

/** mmu_drop_writes() - forget write translations: of one page of host memory, or all for NULL */
void mmu_drop_writes(SoftCpu *c, const uint8_t *host_page) {
        for (unsigned m = 0; m < c->n_tlbs; m++)
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
                MmuWalk walk;

                translate(c, NULL, va, ACCESS_EXEC, c->cpl == 3 ? MMU_USER : MMU_SUPERVISOR, &walk);
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
