/* SPDX-License-Identifier: Apache-2.0 */
/* The page tables (SDM volume 3 chapter 4): walking them, their rights, and the faults that they give. */
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
                        ram_note_dirty(c, table + ((va >> shift) & 1023) * 4);
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
                                ram_note_dirty(c, table + index * 8);
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

_Noreturn static void page_fault(SoftCpu *c, const Uop *u, uint64_t va, uint32_t error) {
        c->cr2 = va;
        cpu_raise_code(c, u, EXC_PF, error);
}

/**
 * mmu_not_canonical() - the fault of an address that is none: of the stack, or of any other segment
 * @u: NULL for the processor's own accesses
 *
 * In 64-bit mode only the stack's own instructions are without a segment of an operand, which reads as ES.
 */
_Noreturn void mmu_not_canonical(SoftCpu *c, const Uop *u) {
        cpu_raise_code(c, u, u && (u->seg == SEG_SS || u->seg == SEG_ES) ? EXC_SS : EXC_GP, 0);
}

/** mmu_translate_or_fault() - mmu_translate() of any address; leaves by longjmp() where that is a fault */
void mmu_translate_or_fault(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, unsigned role,
                            MmuWalk *ret) {
        if (cpu_long_mode(c)) {
                if (unlikely(!is_canonical(va)))
                        mmu_not_canonical(c, u);
        } else {
                va &= UINT32_MAX;
        }
        if (!mmu_translate(c, va, access, role, ret))
                page_fault(c, u, va, ret->error);
}
