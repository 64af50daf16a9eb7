/* SPDX-License-Identifier: Apache-2.0 */
/* Data movement, flags by themselves, and decimal adjustment. */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"

#define TABLE4(name)                                                                               \
        { name##_0, name##_1, name##_2, name##_3 }

#define MOV_SIZE(n, T, READ, WRITE, SETREG, GETREG)                                                \
        static void mov_rr_##n(SoftCpu *c, const Uop *u) {                                         \
                T v = GETREG(c, u->rm);                                                            \
                SETREG(c, u->reg, v);                                                              \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void mov_rm_##n(SoftCpu *c, const Uop *u) {                                         \
                T v = READ(c, u, ea(c, u));                                                        \
                SETREG(c, u->reg, v);                                                              \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void mov_mr_##n(SoftCpu *c, const Uop *u) {                                         \
                WRITE(c, u, ea(c, u), GETREG(c, u->reg));                                          \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void mov_ri_##n(SoftCpu *c, const Uop *u) {                                         \
                SETREG(c, u->rm, (T) u->imm);                                                      \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void mov_mi_##n(SoftCpu *c, const Uop *u) {                                         \
                WRITE(c, u, ea(c, u), (T) u->imm);                                                 \
                NEXT(c, u);                                                                        \
        }
#define SET8(c, n, v) (R8(c, n) = (v))
#define SET16(c, n, v) (R16(c, n) = (v))
#define SET32(c, n, v) (R64(c, n) = (uint32_t) (v))
#define SET64(c, n, v) (R64(c, n) = (v))
MOV_SIZE(0, uint8_t, mem_read8, mem_write8, SET8, R8)
MOV_SIZE(1, uint16_t, mem_read16, mem_write16, SET16, R16)
MOV_SIZE(2, uint32_t, mem_read32, mem_write32, SET32, R32)
MOV_SIZE(3, uint64_t, mem_read64, mem_write64, SET64, R64)
const UopFn mov_rr[4] = TABLE4(mov_rr), mov_rm[4] = TABLE4(mov_rm), mov_mr[4] = TABLE4(mov_mr),
            mov_ri[4] = TABLE4(mov_ri), mov_mi[4] = TABLE4(mov_mi);

/* ---- extension: source in @rm, destination size in @size ---- */

#define EXTEND(name, T, RD, GET)                                                                   \
        static void name##_rr_1(SoftCpu *c, const Uop *u) {                                        \
                R16(c, u->reg) = (uint16_t) (T) GET(c, u->rm);                                     \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void name##_rr_2(SoftCpu *c, const Uop *u) {                                        \
                R64(c, u->reg) = (uint32_t) (T) GET(c, u->rm);                                     \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void name##_rr_3(SoftCpu *c, const Uop *u) {                                        \
                R64(c, u->reg) = (uint64_t) (int64_t) (T) GET(c, u->rm);                           \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void name##_rm_1(SoftCpu *c, const Uop *u) {                                        \
                R16(c, u->reg) = (uint16_t) (T) RD(c, u, ea(c, u));                                \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void name##_rm_2(SoftCpu *c, const Uop *u) {                                        \
                R64(c, u->reg) = (uint32_t) (T) RD(c, u, ea(c, u));                                \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void name##_rm_3(SoftCpu *c, const Uop *u) {                                        \
                R64(c, u->reg) = (uint64_t) (int64_t) (T) RD(c, u, ea(c, u));                      \
                NEXT(c, u);                                                                        \
        }
EXTEND(zx8, uint8_t, mem_read8, R8)
EXTEND(zx16, uint16_t, mem_read16, R16)
EXTEND(sx8, int8_t, mem_read8, R8)
EXTEND(sx16, int16_t, mem_read16, R16)
EXTEND(sx32, int32_t, mem_read32, R32)
#define TABLE3(name)                                                                               \
        { op_invalid, name##_1, name##_2, name##_3 }
const UopFn movzx_rr[2][4] = {TABLE3(zx8_rr), TABLE3(zx16_rr)},
            movzx_rm[2][4] = {TABLE3(zx8_rm), TABLE3(zx16_rm)};
const UopFn movsx_rr[3][4] = {TABLE3(sx8_rr), TABLE3(sx16_rr), TABLE3(sx32_rr)};
const UopFn movsx_rm[3][4] = {TABLE3(sx8_rm), TABLE3(sx16_rm), TABLE3(sx32_rm)};

#define CMOV(n, RD)                                                                                \
        static void cmov_rr_##n(SoftCpu *c, const Uop *u) {                                        \
                if (condition(c->af, u->op))                                                       \
                        set_reg(c, n, u->reg, get_reg(c, n, u->rm));                               \
                else if (n == 2)                                                                   \
                        R64(c, u->reg) = R32(c, u->reg);                                           \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void cmov_rm_##n(SoftCpu *c, const Uop *u) {                                        \
                uint64_t v = RD(c, u, ea(c, u));                                                   \
                if (condition(c->af, u->op))                                                       \
                        set_reg(c, n, u->reg, v);                                                  \
                else if (n == 2)                                                                   \
                        R64(c, u->reg) = R32(c, u->reg);                                           \
                NEXT(c, u);                                                                        \
        }
CMOV(1, mem_read16)
CMOV(2, mem_read32)
CMOV(3, mem_read64)
const UopFn cmov_rr[4] = TABLE3(cmov_rr), cmov_rm[4] = TABLE3(cmov_rm);

static void bswap_r_1(SoftCpu *c, const Uop *u) {
        R16(c, u->rm) = 0; /* undefined; what processors do */
        NEXT(c, u);
}
static void bswap_r_2(SoftCpu *c, const Uop *u) {
        R64(c, u->rm) = __builtin_bswap32(R32(c, u->rm));
        NEXT(c, u);
}
static void bswap_r_3(SoftCpu *c, const Uop *u) {
        R64(c, u->rm) = __builtin_bswap64(R64(c, u->rm));
        NEXT(c, u);
}
const UopFn bswap_r[4] = TABLE3(bswap_r);

static void movbe_rm_1(SoftCpu *c, const Uop *u) {
        R16(c, u->reg) = __builtin_bswap16(mem_read16(c, u, ea(c, u)));
        NEXT(c, u);
}
static void movbe_rm_2(SoftCpu *c, const Uop *u) {
        R64(c, u->reg) = __builtin_bswap32(mem_read32(c, u, ea(c, u)));
        NEXT(c, u);
}
static void movbe_rm_3(SoftCpu *c, const Uop *u) {
        R64(c, u->reg) = __builtin_bswap64(mem_read64(c, u, ea(c, u)));
        NEXT(c, u);
}
static void movbe_mr_1(SoftCpu *c, const Uop *u) {
        mem_write16(c, u, ea(c, u), __builtin_bswap16(R16(c, u->reg)));
        NEXT(c, u);
}
static void movbe_mr_2(SoftCpu *c, const Uop *u) {
        mem_write32(c, u, ea(c, u), __builtin_bswap32(R32(c, u->reg)));
        NEXT(c, u);
}
static void movbe_mr_3(SoftCpu *c, const Uop *u) {
        mem_write64(c, u, ea(c, u), __builtin_bswap64(R64(c, u->reg)));
        NEXT(c, u);
}
const UopFn movbe_rm[4] = TABLE3(movbe_rm), movbe_mr[4] = TABLE3(movbe_mr);

void op_lea(SoftCpu *c, const Uop *u) {
        set_reg(c, u->size, u->reg, ea_offset(c, u));
        NEXT(c, u);
}

void op_movnti(SoftCpu *c, const Uop *u) {
        write_sized(c, u, ea(c, u), u->size, get_reg(c, u->size, u->reg));
        NEXT(c, u);
}

void op_setcc_r(SoftCpu *c, const Uop *u) {
        R8(c, u->rm) = condition(c->af, u->op);
        NEXT(c, u);
}

void op_setcc_m(SoftCpu *c, const Uop *u) {
        mem_write8(c, u, ea(c, u), condition(c->af, u->op));
        NEXT(c, u);
}

void op_nop(SoftCpu *c, const Uop *u) {
        NEXT(c, u);
}

/* Faults as a load does. */
void op_clflush(SoftCpu *c, const Uop *u) {
        (void) mem_read8(c, u, ea(c, u));
        NEXT(c, u);
}

void op_fence(SoftCpu *c, const Uop *u) {
        atomic_thread_fence(memory_order_seq_cst);
        NEXT(c, u);
}

/* MOV between the accumulator and a 64-bit offset in the instruction. */

void op_moffs_load(SoftCpu *c, const Uop *u) {
        const uint64_t va = c->seg_base_effective[u->seg] + u->imm;

        if (u->size == 0)
                R8(c, 0) = mem_read8(c, u, va);
        else if (u->size == 1)
                R16(c, RAX) = mem_read16(c, u, va);
        else
                c->r[RAX] = u->size == 2 ? mem_read32(c, u, va) : mem_read64(c, u, va);
        NEXT(c, u);
}

void op_moffs_store(SoftCpu *c, const Uop *u) {
        mem_write_slow(c, u, c->seg_base_effective[u->seg] + u->imm, 1u << u->size, c->r[RAX]);
        NEXT(c, u);
}

void op_xlat(SoftCpu *c, const Uop *u) {
        Uop at = *u;
        uint64_t rbx = c->r[RBX], va;

        /* base + AL wraps at the address size like any address */
        at.base = RBX;
        at.index = REG_ZERO;
        at.disp = (uint8_t) c->r[RAX];
        va = ea(c, &at);
        (void) rbx;
        R8(c, 0) = mem_read8(c, u, va);
        NEXT(c, u);
}

void op_salc(SoftCpu *c, const Uop *u) {
        R8(c, 0) = c->af & AF_CF ? 0xff : 0;
        NEXT(c, u);
}

/* CBW CWDE CDQE, CWD CDQ CQO */
void op_convert_a(SoftCpu *c, const Uop *u) {
        if (u->size == 1)
                R16(c, RAX) = (uint16_t) (int8_t) c->r[RAX];
        else if (u->size == 2)
                c->r[RAX] = (uint32_t) (int16_t) c->r[RAX];
        else
                c->r[RAX] = (uint64_t) (int64_t) (int32_t) c->r[RAX];
        NEXT(c, u);
}

void op_convert_d(SoftCpu *c, const Uop *u) {
        if (u->size == 1)
                R16(c, RDX) = (int16_t) c->r[RAX] < 0 ? 0xffff : 0;
        else if (u->size == 2)
                c->r[RDX] = (int32_t) c->r[RAX] < 0 ? UINT32_MAX : 0;
        else
                c->r[RDX] = (int64_t) c->r[RAX] < 0 ? UINT64_MAX : 0;
        NEXT(c, u);
}

/* ---- flags ---- */

void op_lahf(SoftCpu *c, const Uop *u) {
        R8(c, 1) = (uint8_t) (c->af >> 8 | 2);
        NEXT(c, u);
}
void op_sahf(SoftCpu *c, const Uop *u) {
        c->af = (c->af & AF_OF) |
                ((uint32_t) R8(c, 1) << 8 & (AF_CF | AF_PF | AF_AF | AF_ZF | AF_SF));
        NEXT(c, u);
}
void op_cmc(SoftCpu *c, const Uop *u) {
        c->af ^= AF_CF;
        NEXT(c, u);
}
void op_clc(SoftCpu *c, const Uop *u) {
        c->af &= ~AF_CF;
        NEXT(c, u);
}
void op_stc(SoftCpu *c, const Uop *u) {
        c->af |= AF_CF;
        NEXT(c, u);
}
void op_cld(SoftCpu *c, const Uop *u) {
        c->flags &= ~FLAG_DF;
        NEXT(c, u);
}
void op_std(SoftCpu *c, const Uop *u) {
        c->flags |= FLAG_DF;
        NEXT(c, u);
}

/* ---- decimal adjustment, outside 64-bit mode; op is the opcode ---- */

void op_daa(SoftCpu *c, const Uop *u) {
        uint8_t al = R8(c, 0), old = al;
        bool cf = c->af & AF_CF, af = c->af & AF_AF;

        if (u->op == 0x27 || u->op == 0x2f) { /* DAA, DAS */
                bool sub = u->op == 0x2f, carry = false;

                if ((al & 0xf) > 9 || af) {
                        carry = cf || (sub ? al < 6 : al > 0xf9);
                        al = (uint8_t) (sub ? al - 6 : al + 6);
                        af = true;
                } else {
                        af = false;
                }
                if (old > 0x99 || cf) {
                        al = (uint8_t) (sub ? al - 0x60 : al + 0x60);
                        carry = true;
                }
                R8(c, 0) = al;
                c->af = (carry ? AF_CF : 0) | (af ? AF_AF : 0) | (al == 0 ? AF_ZF : 0) |
                        (al & 0x80 ? AF_SF : 0) | (__builtin_parity(al) ? 0 : AF_PF);
        } else { /* AAA, AAS */
                if ((al & 0xf) > 9 || af) {
                        R16(c, RAX) = (uint16_t) (u->op == 0x37 ? R16(c, RAX) + 0x106
                                                                : R16(c, RAX) - 0x106);
                        c->af |= AF_AF | AF_CF;
                } else {
                        c->af &= ~(AF_AF | AF_CF);
                }
                R8(c, 0) &= 0xf;
        }
        NEXT(c, u);
}

static void set_szp(SoftCpu *c, uint8_t v) {
        c->af = (v == 0 ? AF_ZF : 0) | (v & 0x80 ? AF_SF : 0) | (__builtin_parity(v) ? 0 : AF_PF);
}

void op_aam(SoftCpu *c, const Uop *u) {
        uint8_t base = (uint8_t) u->imm, al = R8(c, 0);

        if (base == 0)
                cpu_raise(c, u, EXC_DE);
        R8(c, 1) = al / base;
        R8(c, 0) = al % base;
        set_szp(c, R8(c, 0));
        NEXT(c, u);
}

void op_aad(SoftCpu *c, const Uop *u) {
        uint8_t al = (uint8_t) (R8(c, 0) + R8(c, 1) * (uint8_t) u->imm);

        R16(c, RAX) = al;
        set_szp(c, al);
        NEXT(c, u);
}

/* ---- exchanges of two words ---- */

void op_cmpxchg8b(SoftCpu *c, const Uop *u) {
        u64u *p = (u64u *) mem_begin_maybe_locked(c, u, ea(c, u), 8, u->imm);
        uint64_t want = (uint64_t) R32(c, RDX) << 32 | R32(c, RAX), have = want;
        uint64_t next = (uint64_t) R32(c, RCX) << 32 | R32(c, RBX);

        __asm__ volatile("lock; cmpxchgq %2, %1"
                         : "+a"(have), "+m"(*p)
                         : "r"(next)
                         : "cc", "memory");
        mem_end(c, u);
        set_zf(c, have == want);
        if (have != want) {
                c->r[RDX] = have >> 32;
                c->r[RAX] = (uint32_t) have;
        }
        NEXT(c, u);
}

void op_cmpxchg16b(SoftCpu *c, const Uop *u) {
        uint64_t va = ea(c, u), lo = c->r[RAX], hi = c->r[RDX];
        uint8_t *p, equal;

        if (va & 15)
                cpu_raise_code(c, u, EXC_GP, 0);
        p = mem_begin(c, u, va, 16);
        __asm__ volatile("lock; cmpxchg16b (%[p])\n\tsete %[e]"
                         : "+a"(lo), "+d"(hi), [e] "=q"(equal)
                         : [p] "r"(p), "b"(c->r[RBX]), "c"(c->r[RCX])
                         : "cc", "memory");
        mem_end(c, u);
        set_zf(c, equal);
        if (!equal) {
                c->r[RAX] = lo;
                c->r[RDX] = hi;
        }
        NEXT(c, u);
}
