/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions. Repeated ones work on runs inside one page with the host's memory functions; they stop between
 * runs when the processor is wanted, with rip still on the instruction and the registers saying how far it came.
 */
#include "vmm/hv/soft/access.h"

#include <string.h>
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"

enum { ONCE, REP_E, REP_NE };

/* Elements done before interrupts are looked at again. */
#define RUN_MAX 4096u

static inline uint64_t index_get(SoftCpu *c, const Uop *u, unsigned n) {
        unsigned size = UOP_ADDRESS_SIZE(u);

        return size == 3 ? c->r[n] : size == 2 ? (uint32_t) c->r[n] : (uint16_t) c->r[n];
}

static inline void index_add(SoftCpu *c, const Uop *u, unsigned n, int64_t by) {
        switch (UOP_ADDRESS_SIZE(u)) {
        case 3:
                c->r[n] += (uint64_t) by;
                break;
        case 2:
                c->r[n] = (uint32_t) (c->r[n] + (uint64_t) by);
                break;
        default:
                R16(c, n) = (uint16_t) (c->r[n] + (uint64_t) by);
                break;
        }
}

/* Linear address of an index register; the segment is @u's for sources and ES for destinations. */
static uint64_t index_va(SoftCpu *c, const Uop *u, unsigned n) {
        Uop at = *u;

        at.base = (uint8_t) n;
        at.index = REG_ZERO;
        at.disp = 0;
        if (n == RDI) {
                at.seg = SEG_ES;
                if (cpu_code64(c))
                        return index_get(c, u, RDI);
        } else {
                at.ea &= (uint8_t) ~EA_WRITE; /* the destination alone is */
        }
        return ea_slow(c, &at);
}

static void compare(SoftCpu *c, unsigned size, uint64_t a, uint64_t b) {
        uint32_t fl;

#define SUB_FLAGS(T)                                                                               \
        do {                                                                                       \
                T x_ = (T) a;                                                                      \
                __asm__ volatile("cmp %[b], %[a]\n\tlahf\n\tseto %%al"                             \
                                 : "=&a"(fl)                                                       \
                                 : [a] "r"(x_), [b] "r"((T) b)                                     \
                                 : "cc");                                                          \
        } while (0)
        if (size == 0)
                SUB_FLAGS(uint8_t);
        else if (size == 1)
                SUB_FLAGS(uint16_t);
        else if (size == 2)
                SUB_FLAGS(uint32_t);
        else
                SUB_FLAGS(uint64_t);
        c->af = fl;
}

/* One element; the registers move only when nothing can fault any more. */
static inline void one(SoftCpu *c, const Uop *u, unsigned op) {
        int64_t step = c->flags & FLAG_DF ? -(1 << u->size) : 1 << u->size;
        uint64_t a, b;

        switch (op) {
        case STRING_MOVS:
                write_sized(c, u, index_va(c, u, RDI), u->size,
                            read_sized(c, u, index_va(c, u, RSI), u->size));
                index_add(c, u, RSI, step);
                index_add(c, u, RDI, step);
                break;
        case STRING_CMPS:
                a = read_sized(c, u, index_va(c, u, RSI), u->size);
                b = read_sized(c, u, index_va(c, u, RDI), u->size);
                compare(c, u->size, a, b);
                index_add(c, u, RSI, step);
                index_add(c, u, RDI, step);
                break;
        case STRING_STOS:
                write_sized(c, u, index_va(c, u, RDI), u->size, c->r[RAX]);
                index_add(c, u, RDI, step);
                break;
        case STRING_LODS:
                set_reg(c, u->size, RAX, read_sized(c, u, index_va(c, u, RSI), u->size));
                index_add(c, u, RSI, step);
                break;
        case STRING_SCAS:
                a = u->size == 0 ? R8(c, 0) : c->r[RAX];
                compare(c, u->size, a, read_sized(c, u, index_va(c, u, RDI), u->size));
                index_add(c, u, RDI, step);
                break;
        case STRING_INS: {
                uint64_t va = index_va(c, u, RDI);
                uint8_t *p = mem_begin(
                        c, u, va, 1u << u->size); /* the port is read only if the store will work */
                uint64_t v = c->io->pio_read(c->io->machine, (uint16_t) c->r[RDX], 1u << u->size);
                cpu_notice_stop(c);

                memcpy(p, &v, 1u << u->size);
                mem_end(c, u);
                index_add(c, u, RDI, step);
                break;
        }
        case STRING_OUTS:
                a = read_sized(c, u, index_va(c, u, RSI), u->size);
                c->io->pio_write(c->io->machine, (uint16_t) c->r[RDX], 1u << u->size, a);
                cpu_notice_stop(c);
                index_add(c, u, RSI, step);
                break;
        }
}

/* Elements from @va to the end of its page, going up. */
static inline uint64_t to_page_end(uint64_t va, unsigned size) {
        return (0x1000 - (va & 0xfff)) >> size;
}

static void fill(uint8_t *p, unsigned size, uint64_t v, uint64_t n) {
        if (size == 0) {
                memset(p, (int) (v & 0xff), n);
        } else if (size == 3) {
                for (uint64_t i = 0; i < n; i++)
                        ((u64u *) p)[i] = v;
        } else if (size == 2) {
                for (uint64_t i = 0; i < n; i++)
                        ((u32u *) p)[i] = (uint32_t) v;
        } else {
                for (uint64_t i = 0; i < n; i++)
                        ((u16u *) p)[i] = (uint16_t) v;
        }
}

/* A run of MOVS or STOS going up inside one page of each side. Return: elements done, 0 when it must go one by one. */
static uint64_t bulk(SoftCpu *c, const Uop *u, unsigned op, uint64_t count) {
        uint64_t dst, src = 0, n;
        const uint8_t *s = NULL;
        uint8_t *d;

        if ((c->flags & FLAG_DF) || UOP_ADDRESS_SIZE(u) != 3 || !cpu_code64(c))
                return 0;
        dst = c->r[RDI];
        n = MIN(count, to_page_end(dst, u->size));
        if (op == STRING_MOVS) {
                src = c->r[RSI] + c->seg_base_effective[u->seg];
                n = MIN(n, to_page_end(src, u->size));
        }
        if (n < 2)
                return 0;
        /* The first access of each page goes the slow way, which fills the translation or faults. */
        d = tlb_hit(c->tlb->write, dst, (unsigned) (n << u->size));
        if (!d)
                return 0;
        if (op == STRING_MOVS) {
                s = tlb_hit(c->tlb->read, src, (unsigned) (n << u->size));
                if (!s)
                        return 0;
                /* Overlap going up repeats a pattern, which memmove() would not. */
                if (d > s && d < s + (n << u->size))
                        return 0;
                memmove(d, s, n << u->size);
                c->r[RSI] += n << u->size;
        } else {
                fill(d, u->size, c->r[RAX], n);
        }
        c->r[RDI] += n << u->size;
        return n;
}

static inline void string(SoftCpu *c, const Uop *u, unsigned op) {
        /* A step is one element, and so is what a watchpoint traps after. */
        const unsigned max = unlikely((c->flags & FLAG_TF) || c->debug_armed) ? 1 : RUN_MAX;
        uint64_t count;

        if (op >= STRING_INS)
                io_check(c, u, (uint16_t) c->r[RDX], 1u << u->size);
        if (u->op == ONCE) {
                one(c, u, op);
                NEXT(c, u);
        }
        for (unsigned done = 0; done < max;) {
                uint64_t n = 0;

                count = index_get(c, u, RCX);
                if (count == 0)
                        NEXT(c, u);
                if (op == STRING_MOVS || op == STRING_STOS)
                        n = bulk(c, u, op, MIN(count, max));
                if (n == 0) {
                        one(c, u, op);
                        n = 1;
                }
                index_add(c, u, RCX, -(int64_t) n);
                done += (unsigned) n;
                if (op == STRING_CMPS || op == STRING_SCAS) {
                        bool equal = c->af & AF_ZF;

                        if (equal != (u->op == REP_E))
                                NEXT(c, u);
                }
        }
        if (index_get(c, u, RCX) == 0)
                NEXT(c, u);
        GOTO(c, uop_rip(c, u)); /* again, after whatever is waiting */
}

#define STRING(name, op)                                                                           \
        static void name(SoftCpu *c, const Uop *u) {                                               \
                string(c, u, op);                                                                  \
        }
STRING(movs, STRING_MOVS)
STRING(cmps, STRING_CMPS)
STRING(stos, STRING_STOS)
STRING(lods, STRING_LODS)
STRING(scas, STRING_SCAS)
STRING(ins, STRING_INS)
STRING(outs, STRING_OUTS)
#define SAME4(f)                                                                                   \
        { f, f, f, f }
const UopFn string_ops[7][4] = {SAME4(movs), SAME4(cmps), SAME4(stos), SAME4(lods),
                                SAME4(scas), SAME4(ins),  SAME4(outs)};
