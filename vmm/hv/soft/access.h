/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Guest memory as handlers see it: one compare on the way to the host's memory, everything else out of line. */

#include "vmm/hv/soft/cpu.h"

#define CACHE_LINE 64u

typedef uint16_t u16u __attribute__((aligned(1), may_alias));
typedef uint32_t u32u __attribute__((aligned(1), may_alias));
typedef uint64_t u64u __attribute__((aligned(1), may_alias));

static inline uint64_t ea(SoftCpu *c, const Uop *u) {
        if (likely(u->ea == (EA_PLAIN | 3u << 4)))
                return c->r[u->base] + (c->r[u->index] << u->scale) + (uint64_t) (int64_t) u->disp;
        return ea_slow(c, u);
}

/* The offset alone, for LEA. */
static inline uint64_t ea_offset(SoftCpu *c, const Uop *u) {
        uint64_t a = c->r[u->base] + (c->r[u->index] << u->scale) + (uint64_t) (int64_t) u->disp;
        unsigned size = UOP_ADDRESS_SIZE(u);

        return size == 3 ? a : size == 2 ? (uint32_t) a : (uint16_t) a;
}

/* An access that crosses into the next page has that page's tag and misses. */
static inline uint8_t *tlb_hit(const TlbEntry *table, uint64_t va, unsigned size) {
        const TlbEntry *e = &table[(va >> 12) % TLB_ENTRIES];

        if (likely(e->tag == ((va + size - 1) & PAGE_MASK)))
                return (uint8_t *) (uintptr_t) (va + e->addend); /* NOLINT */
        return NULL;
}

#define DEFINE_READ(bits, type, utype)                                                             \
        static inline type mem_read##bits(SoftCpu *c, const Uop *u, uint64_t va) {                 \
                const uint8_t *p = tlb_hit(c->tlb->read, va, bits / 8);                            \
                if (likely(p))                                                                     \
                        return *(const volatile utype *) p;                                        \
                return (type) mem_read_slow(c, u, va, bits / 8);                                   \
        }                                                                                          \
        static inline void mem_write##bits(SoftCpu *c, const Uop *u, uint64_t va, type v) {        \
                uint8_t *p = tlb_hit(c->tlb->write, va, bits / 8);                                 \
                if (likely(p))                                                                     \
                        *(volatile utype *) p = v;                                                 \
                else                                                                               \
                        mem_write_slow(c, u, va, bits / 8, v);                                     \
        }

DEFINE_READ(8, uint8_t, uint8_t)
DEFINE_READ(16, uint16_t, u16u)
DEFINE_READ(32, uint32_t, u32u)
DEFINE_READ(64, uint64_t, u64u)

/* Where @size bytes may be read and written in place; mem_end() makes it so where that place is a copy. */
static inline uint8_t *mem_begin(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        uint8_t *p = tlb_hit(c->tlb->write, va, size);

        return likely(p) ? p : mem_begin_slow(c, u, va, size, false);
}

/* The same for what may be one operation to everybody else: where there is RAM, that place is no copy. */
static inline uint8_t *mem_begin_in_place(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        uint8_t *p = tlb_hit(c->tlb->write, va, size);

        return likely(p) ? p : mem_begin_slow(c, u, va, size, true);
}

/* And for what LOCK, or XCHG, makes one: across cache lines that is a bus lock. */
static inline uint8_t *mem_begin_locked(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        uint8_t *p = mem_begin_in_place(c, u, va, size);

        if (unlikely(va % CACHE_LINE + size > CACHE_LINE))
                split_count_bus_lock(c);
        return p;
}

static inline uint8_t *mem_begin_maybe_locked(SoftCpu *c, const Uop *u, uint64_t va, unsigned size,
                                              bool lock) {
        return lock ? mem_begin_locked(c, u, va, size) : mem_begin_in_place(c, u, va, size);
}

static inline void mem_end(SoftCpu *c, const Uop *u) {
        if (unlikely(c->post_write))
                mem_end_slow(c, u);
}

#define R8(c, at) (((uint8_t *) (c)->r)[at])
#define R16(c, n) (*(u16u *) &(c)->r[n])
#define R32(c, n) (*(u32u *) &(c)->r[n])
#define R64(c, n) ((c)->r[n])

#define NEXT(c, u) return (u)[1].fn((c), (u) + 1)
/* Ends a block: the next instruction is at @target. */
#define GOTO(c, target)                                                                            \
        do {                                                                                       \
                (c)->rip = (target);                                                               \
                return;                                                                            \
        } while (0)

static inline uint64_t uop_rip(const SoftCpu *c, const Uop *u) {
        return c->r[REG_BLOCK] + u->ip;
}

static inline uint64_t ip_mask(const SoftCpu *c) {
        return cpu_code64(c) ? UINT64_MAX : UINT32_MAX;
}

static inline uint64_t uop_next_rip(const SoftCpu *c, const Uop *u) {
        return (c->r[REG_BLOCK] + u->ip + u->len) & ip_mask(c);
}

static inline bool condition(uint32_t af, unsigned cc) {
        bool r;

        switch (cc >> 1) {
        case 0:
                r = af & AF_OF;
                break;
        case 1:
                r = af & AF_CF;
                break;
        case 2:
                r = af & AF_ZF;
                break;
        case 3:
                r = af & (AF_CF | AF_ZF);
                break;
        case 4:
                r = af & AF_SF;
                break;
        case 5:
                r = af & AF_PF;
                break;
        case 6:
                r = ((af & AF_SF) != 0) != ((af & AF_OF) != 0);
                break;
        default:
                r = (af & AF_ZF) || ((af & AF_SF) != 0) != ((af & AF_OF) != 0);
                break;
        }
        return r != (cc & 1);
}

/* Whether bits 63 to 47 are equal, as 48-bit linear addresses must be. */
static inline bool is_canonical(uint64_t address) {
        return (uint64_t) ((int64_t) (address << 16) >> 16) == address;
}
