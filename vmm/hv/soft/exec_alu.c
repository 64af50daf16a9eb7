/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer arithmetic. Each handler executes the host's instruction of the same name and keeps the flags it leaves, so
 * that results and flags, undefined ones included, are those of the host processor.
 */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"

/* `lahf; seto` puts the arithmetic flags into AX; `add $0x7f, %al; sahf` puts them back. */
#define SAVE "lahf\n\tseto %%al"
#define CARRY "btl $8, %k[af]\n\t"
#define RESTORE "movl %k[af], %%eax\n\taddb $0x7f, %%al\n\tsahf\n\t"

#define TABLE4(name)                                                                               \
        { name##_b, name##_w, name##_l, name##_q }
#define TABLE8X4(form)                                                                             \
        {                                                                                          \
                TABLE4(add_##form), TABLE4(or_##form), TABLE4(adc_##form), TABLE4(sbb_##form),     \
                        TABLE4(and_##form), TABLE4(sub_##form), TABLE4(xor_##form),                \
                        TABLE4(cmp_##form)                                                         \
        }

/* A register operand of each size; 32-bit results clear the upper half. */
#define GET_b(c, n) R8(c, n)
#define GET_w(c, n) R16(c, n)
#define GET_l(c, n) R32(c, n)
#define GET_q(c, n) R64(c, n)
#define SET_b(c, n, v) (R8(c, n) = (v))
#define SET_w(c, n, v) (R16(c, n) = (v))
#define SET_l(c, n, v) (R64(c, n) = (uint32_t) (v))
#define SET_q(c, n, v) (R64(c, n) = (v))
#define READ_b mem_read8
#define READ_w mem_read16
#define READ_l mem_read32
#define READ_q mem_read64
#define WRITE_b mem_write8
#define WRITE_w mem_write16
#define WRITE_l mem_write32
#define WRITE_q mem_write64
typedef uint8_t T_b, M_b;
typedef uint16_t T_w;
typedef uint32_t T_l;
typedef uint64_t T_q;
typedef u16u M_w;
typedef u32u M_l;
typedef u64u M_q;

#define REG_ASM(pre, op, s, dst, src)                                                              \
        __asm__ volatile(pre #op #s " %[b], %[a]\n\t" SAVE                                         \
                         : [a] "+r"(dst), "=&a"(fl)                                                \
                         : [b] "r"((T_##s)(src)), [af] "r"(c->af)                                  \
                         : "cc")
#define MEM_ASM(pre, lock, op, s, p, src)                                                          \
        __asm__ volatile(pre lock #op #s " %[b], %[a]\n\t" SAVE                                    \
                         : [a] "+m"(*(M_##s *) (p)), "=&a"(fl)                                     \
                         : [b] "r"((T_##s)(src)), [af] "r"(c->af)                                  \
                         : "cc", "memory")

#define ALU_ONE(op, pre, s)                                                                        \
        static void op##_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = GET_##s(c, u->reg);                                                      \
                uint32_t fl;                                                                       \
                REG_ASM(pre, op, s, a, GET_##s(c, u->rm));                                         \
                c->af = fl;                                                                        \
                SET_##s(c, u->reg, a);                                                             \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_rm_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s b = READ_##s(c, u, ea(c, u)), a = GET_##s(c, u->reg);                        \
                uint32_t fl;                                                                       \
                REG_ASM(pre, op, s, a, b);                                                         \
                c->af = fl;                                                                        \
                SET_##s(c, u->reg, a);                                                             \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_ri_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = GET_##s(c, u->rm);                                                       \
                uint32_t fl;                                                                       \
                REG_ASM(pre, op, s, a, u->imm);                                                    \
                c->af = fl;                                                                        \
                SET_##s(c, u->rm, a);                                                              \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mr_##s(SoftCpu *c, const Uop *u) {                                        \
                uint8_t *p = mem_begin(c, u, ea(c, u), sizeof(T_##s));                             \
                uint32_t fl;                                                                       \
                MEM_ASM(pre, "", op, s, p, GET_##s(c, u->reg));                                    \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mi_##s(SoftCpu *c, const Uop *u) {                                        \
                uint8_t *p = mem_begin(c, u, ea(c, u), sizeof(T_##s));                             \
                uint32_t fl;                                                                       \
                MEM_ASM(pre, "", op, s, p, u->imm);                                                \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mr_lock_##s(SoftCpu *c, const Uop *u) {                                   \
                uint8_t *p = mem_begin_locked(c, u, ea(c, u), sizeof(T_##s));                      \
                uint32_t fl;                                                                       \
                MEM_ASM(pre, "lock; ", op, s, p, GET_##s(c, u->reg));                              \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mi_lock_##s(SoftCpu *c, const Uop *u) {                                   \
                uint8_t *p = mem_begin_locked(c, u, ea(c, u), sizeof(T_##s));                      \
                uint32_t fl;                                                                       \
                MEM_ASM(pre, "lock; ", op, s, p, u->imm);                                          \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }
#define ALU(op, pre) ALU_ONE(op, pre, b) ALU_ONE(op, pre, w) ALU_ONE(op, pre, l) ALU_ONE(op, pre, q)

ALU(add, "")
ALU(or, "")
ALU(adc, CARRY)
ALU(sbb, CARRY)
ALU(and, "")
ALU(sub, "")
ALU(xor, "")

/* CMP and TEST only read. */
#define COMPARE_ONE(op, s)                                                                         \
        static void op##_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = GET_##s(c, u->reg);                                                      \
                uint32_t fl;                                                                       \
                REG_ASM("", op, s, a, GET_##s(c, u->rm));                                          \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        _unused_ static void op##_rm_##s(SoftCpu *c, const Uop *u) {                               \
                T_##s b = READ_##s(c, u, ea(c, u)), a = GET_##s(c, u->reg);                        \
                uint32_t fl;                                                                       \
                REG_ASM("", op, s, a, b);                                                          \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_ri_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = GET_##s(c, u->rm);                                                       \
                uint32_t fl;                                                                       \
                REG_ASM("", op, s, a, u->imm);                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mr_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = READ_##s(c, u, ea(c, u));                                                \
                uint32_t fl;                                                                       \
                REG_ASM("", op, s, a, GET_##s(c, u->reg));                                         \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mi_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = READ_##s(c, u, ea(c, u));                                                \
                uint32_t fl;                                                                       \
                REG_ASM("", op, s, a, u->imm);                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }
#define COMPARE(op) COMPARE_ONE(op, b) COMPARE_ONE(op, w) COMPARE_ONE(op, l) COMPARE_ONE(op, q)
COMPARE(cmp)
COMPARE(test)

const UopFn alu_rr[8][4] = TABLE8X4(rr), alu_rm[8][4] = TABLE8X4(rm), alu_mr[8][4] = TABLE8X4(mr),
            alu_ri[8][4] = TABLE8X4(ri), alu_mi[8][4] = TABLE8X4(mi);
#define LOCKED(form)                                                                               \
        {                                                                                          \
                TABLE4(add_##form), TABLE4(or_##form), TABLE4(adc_##form), TABLE4(sbb_##form),     \
                        TABLE4(and_##form), TABLE4(sub_##form), TABLE4(xor_##form), {              \
                        op_invalid, op_invalid, op_invalid, op_invalid                             \
                }                                                                                  \
        }
const UopFn alu_mr_lock[8][4] = LOCKED(mr_lock), alu_mi_lock[8][4] = LOCKED(mi_lock);
const UopFn test_rr[4] = TABLE4(test_rr), test_mr[4] = TABLE4(test_mr),
            test_ri[4] = TABLE4(test_ri), test_mi[4] = TABLE4(test_mi);

/* ---- shifts and rotates: a count of 0 leaves the flags alone, as the host's does ---- */

#define SHIFT_ONE(op, s)                                                                           \
        static inline T_##s op##_value_##s(SoftCpu *c, T_##s a, uint8_t count) {                   \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE #op #s " %%cl, %[a]\n\t" SAVE                             \
                                 : [a] "+r"(a), "=&a"(fl)                                          \
                                 : "c"(count), [af] "r"(c->af)                                     \
                                 : "cc");                                                          \
                c->af = fl;                                                                        \
                return a;                                                                          \
        }                                                                                          \
        static void op##_ri_##s(SoftCpu *c, const Uop *u) {                                        \
                SET_##s(c, u->rm, op##_value_##s(c, GET_##s(c, u->rm), (uint8_t) u->imm));         \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_rc_##s(SoftCpu *c, const Uop *u) {                                        \
                SET_##s(c, u->rm, op##_value_##s(c, GET_##s(c, u->rm), (uint8_t) c->r[RCX]));      \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mi_##s(SoftCpu *c, const Uop *u) {                                        \
                M_##s *p = (M_##s *) mem_begin(c, u, ea(c, u), sizeof(T_##s));                     \
                *p = op##_value_##s(c, *p, (uint8_t) u->imm);                                      \
                mem_end(c, u);                                                                     \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mc_##s(SoftCpu *c, const Uop *u) {                                        \
                M_##s *p = (M_##s *) mem_begin(c, u, ea(c, u), sizeof(T_##s));                     \
                *p = op##_value_##s(c, *p, (uint8_t) c->r[RCX]);                                   \
                mem_end(c, u);                                                                     \
                NEXT(c, u);                                                                        \
        }
#define SHIFT(op) SHIFT_ONE(op, b) SHIFT_ONE(op, w) SHIFT_ONE(op, l) SHIFT_ONE(op, q)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
#define SHIFT_TABLE(form)                                                                          \
        {                                                                                          \
                TABLE4(rol_##form), TABLE4(ror_##form), TABLE4(rcl_##form), TABLE4(rcr_##form),    \
                        TABLE4(shl_##form), TABLE4(shr_##form), TABLE4(shl_##form),                \
                        TABLE4(sar_##form)                                                         \
        }
const UopFn shift_ri[8][4] = SHIFT_TABLE(ri), shift_rc[8][4] = SHIFT_TABLE(rc),
            shift_mi[8][4] = SHIFT_TABLE(mi), shift_mc[8][4] = SHIFT_TABLE(mc);

/* ---- NOT NEG INC DEC ---- */

#define UNARY_ONE(op, s)                                                                           \
        static void op##_r_##s(SoftCpu *c, const Uop *u) {                                         \
                T_##s a = GET_##s(c, u->rm);                                                       \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE #op #s " %[a]\n\t" SAVE                                   \
                                 : [a] "+r"(a), "=&a"(fl)                                          \
                                 : [af] "r"(c->af)                                                 \
                                 : "cc");                                                          \
                c->af = fl;                                                                        \
                SET_##s(c, u->rm, a);                                                              \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_m_##s(SoftCpu *c, const Uop *u) {                                         \
                uint8_t *p = mem_begin(c, u, ea(c, u), sizeof(T_##s));                             \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE #op #s " %[a]\n\t" SAVE                                   \
                                 : [a] "+m"(*(M_##s *) p), "=&a"(fl)                               \
                                 : [af] "r"(c->af)                                                 \
                                 : "cc", "memory");                                                \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_m_lock_##s(SoftCpu *c, const Uop *u) {                                    \
                uint8_t *p = mem_begin_locked(c, u, ea(c, u), sizeof(T_##s));                      \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE "lock; " #op #s " %[a]\n\t" SAVE                          \
                                 : [a] "+m"(*(M_##s *) p), "=&a"(fl)                               \
                                 : [af] "r"(c->af)                                                 \
                                 : "cc", "memory");                                                \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                NEXT(c, u);                                                                        \
        }
#define UNARY(op) UNARY_ONE(op, b) UNARY_ONE(op, w) UNARY_ONE(op, l) UNARY_ONE(op, q)
UNARY(not )
UNARY(neg)
UNARY(inc)
UNARY(dec)
const UopFn unary_r[4][4] = {TABLE4(not_r), TABLE4(neg_r), TABLE4(inc_r), TABLE4(dec_r)};
const UopFn unary_m[4][4] = {TABLE4(not_m), TABLE4(neg_m), TABLE4(inc_m), TABLE4(dec_m)};
const UopFn unary_m_lock[4][4] = {TABLE4(not_m_lock), TABLE4(neg_m_lock), TABLE4(inc_m_lock),
                                  TABLE4(dec_m_lock)};

/* ---- multiplication ---- */

#define MUL_ASM(op, s, lo, hi, src)                                                                \
        do {                                                                                       \
                uint64_t pair_;                                                                    \
                __asm__ volatile(#op #s " %[b]\n\tmovq %%rax, %[pair]\n\t" SAVE                    \
                                 : "+a"(lo), "+d"(hi), [pair] "=&r"(pair_)                         \
                                 : [b] "r"((T_##s)(src))                                           \
                                 : "cc");                                                          \
                c->af = (uint32_t) (lo & 0xffff);                                                  \
                lo = pair_;                                                                        \
        } while (0)
#define MUL_ONE(name, op, s)                                                                       \
        static inline void name##_value_##s(SoftCpu *c, T_##s b) {                                 \
                uint64_t lo = c->r[RAX], hi = c->r[RDX];                                           \
                MUL_ASM(op, s, lo, hi, b);                                                         \
                if (sizeof(T_##s) == 1) {                                                          \
                        R16(c, RAX) = (uint16_t) lo;                                               \
                } else {                                                                           \
                        SET_##s(c, RAX, (T_##s) lo);                                               \
                        SET_##s(c, RDX, (T_##s) hi);                                               \
                }                                                                                  \
        }                                                                                          \
        static void name##_r_##s(SoftCpu *c, const Uop *u) {                                       \
                name##_value_##s(c, GET_##s(c, u->rm));                                            \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void name##_m_##s(SoftCpu *c, const Uop *u) {                                       \
                name##_value_##s(c, READ_##s(c, u, ea(c, u)));                                     \
                NEXT(c, u);                                                                        \
        }
#undef SET_b_pair
#define MUL(name, op)                                                                              \
        MUL_ONE(name, op, b) MUL_ONE(name, op, w) MUL_ONE(name, op, l) MUL_ONE(name, op, q)
MUL(mul, mul)
MUL(imul1, imul)
const UopFn mul_r[4] = TABLE4(mul_r), mul_m[4] = TABLE4(mul_m), imul1_r[4] = TABLE4(imul1_r),
            imul1_m[4] = TABLE4(imul1_m);

#define IMUL_ONE(s)                                                                                \
        static inline void imul_value_##s(SoftCpu *c, const Uop *u, T_##s a, T_##s b) {            \
                uint32_t fl;                                                                       \
                REG_ASM("", imul, s, a, b);                                                        \
                c->af = fl;                                                                        \
                SET_##s(c, u->reg, a);                                                             \
        }                                                                                          \
        static void imul_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                imul_value_##s(c, u, GET_##s(c, u->reg), GET_##s(c, u->rm));                       \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void imul_rm_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s b = READ_##s(c, u, ea(c, u));                                                \
                imul_value_##s(c, u, GET_##s(c, u->reg), b);                                       \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void imul_rri_##s(SoftCpu *c, const Uop *u) {                                       \
                imul_value_##s(c, u, GET_##s(c, u->rm), (T_##s) u->imm);                           \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void imul_rmi_##s(SoftCpu *c, const Uop *u) {                                       \
                imul_value_##s(c, u, READ_##s(c, u, ea(c, u)), (T_##s) u->imm);                    \
                NEXT(c, u);                                                                        \
        }
IMUL_ONE(w)
IMUL_ONE(l)
IMUL_ONE(q)
#define TABLE3(name)                                                                               \
        { op_invalid, name##_w, name##_l, name##_q }
const UopFn imul_rr[4] = TABLE3(imul_rr), imul_rm[4] = TABLE3(imul_rm),
            imul_rri[4] = TABLE3(imul_rri), imul_rmi[4] = TABLE3(imul_rmi);

/* ---- division: the quotient is checked first, because the host's own fault would be ours ---- */

static void div_value(SoftCpu *c, const Uop *u, unsigned size, uint64_t b) {
        unsigned bits = 8u << size;
        unsigned __int128 n, q;

        if (b == 0)
                cpu_raise(c, u, EXC_DE);
        if (size == 0)
                n = R16(c, RAX);
        else if (size == 3)
                n = (unsigned __int128) c->r[RDX] << 64 | c->r[RAX];
        else
                n = (uint64_t) (c->r[RDX] & ((UINT64_C(1) << bits) - 1)) << bits |
                    (c->r[RAX] & ((UINT64_C(1) << bits) - 1));
        q = n / b;
        if (q >> bits)
                cpu_raise(c, u, EXC_DE);
        n %= b;
        switch (size) {
        case 0:
                R16(c, RAX) = (uint16_t) ((unsigned) n << 8 | (unsigned) q);
                break;
        case 1:
                R16(c, RAX) = (uint16_t) q;
                R16(c, RDX) = (uint16_t) n;
                break;
        case 2:
                c->r[RAX] = (uint32_t) q;
                c->r[RDX] = (uint32_t) n;
                break;
        default:
                c->r[RAX] = (uint64_t) q;
                c->r[RDX] = (uint64_t) n;
                break;
        }
}

static void idiv_value(SoftCpu *c, const Uop *u, unsigned size, uint64_t raw) {
        unsigned bits = 8u << size;
        __int128 n, q, b;

        if (raw == 0)
                cpu_raise(c, u, EXC_DE);
        switch (size) {
        case 0:
                b = (int64_t) (int8_t) (uint8_t) raw;
                n = (int16_t) R16(c, RAX);
                break;
        case 1:
                b = (int16_t) raw;
                n = (int32_t) ((uint32_t) R16(c, RDX) << 16 | R16(c, RAX));
                break;
        case 2:
                b = (int32_t) raw;
                n = (int64_t) ((uint64_t) R32(c, RDX) << 32 | R32(c, RAX));
                break;
        default:
                b = (int64_t) raw;
                n = (__int128) ((unsigned __int128) c->r[RDX] << 64 | c->r[RAX]);
                break;
        }
        if (b == -1 && n == (__int128) ((unsigned __int128) 1 << 127))
                cpu_raise(c, u, EXC_DE);
        q = n / b;
        if (q < -((__int128) 1 << (bits - 1)) || q >= (__int128) 1 << (bits - 1))
                cpu_raise(c, u, EXC_DE);
        n %= b;
        switch (size) {
        case 0:
                R16(c, RAX) = (uint16_t) ((unsigned) (uint8_t) n << 8 | (uint8_t) q);
                break;
        case 1:
                R16(c, RAX) = (uint16_t) q;
                R16(c, RDX) = (uint16_t) n;
                break;
        case 2:
                c->r[RAX] = (uint32_t) q;
                c->r[RDX] = (uint32_t) n;
                break;
        default:
                c->r[RAX] = (uint64_t) q;
                c->r[RDX] = (uint64_t) n;
                break;
        }
}

#define DIV_ONE(op, s, n)                                                                          \
        static void op##_r_##s(SoftCpu *c, const Uop *u) {                                         \
                op##_value(c, u, n, GET_##s(c, u->rm));                                            \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_m_##s(SoftCpu *c, const Uop *u) {                                         \
                op##_value(c, u, n, READ_##s(c, u, ea(c, u)));                                     \
                NEXT(c, u);                                                                        \
        }
#define DIV(op) DIV_ONE(op, b, 0) DIV_ONE(op, w, 1) DIV_ONE(op, l, 2) DIV_ONE(op, q, 3)
DIV(div)
DIV(idiv)
const UopFn div_r[4] = TABLE4(div_r), div_m[4] = TABLE4(div_m), idiv_r[4] = TABLE4(idiv_r),
            idiv_m[4] = TABLE4(idiv_m);

/* ---- exchange ---- */

#define EXCHANGE_ONE(s)                                                                            \
        static void xchg_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = GET_##s(c, u->reg), b = GET_##s(c, u->rm);                               \
                SET_##s(c, u->reg, b);                                                             \
                SET_##s(c, u->rm, a);                                                              \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void xchg_mr_##s(SoftCpu *c, const Uop *u) {                                        \
                uint8_t *p = mem_begin_locked(c, u, ea(c, u), sizeof(T_##s));                      \
                T_##s a = GET_##s(c, u->reg);                                                      \
                __asm__ volatile("xchg" #s " %0, %1" : "+r"(a), "+m"(*(M_##s *) p) : : "memory");  \
                mem_end(c, u);                                                                     \
                SET_##s(c, u->reg, a);                                                             \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void xadd_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = GET_##s(c, u->rm), b = GET_##s(c, u->reg), sum = a;                      \
                uint32_t fl;                                                                       \
                REG_ASM("", add, s, sum, b);                                                       \
                c->af = fl;                                                                        \
                SET_##s(c, u->reg, a);                                                             \
                SET_##s(c, u->rm, sum);                                                            \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static inline void xadd_mem_##s(SoftCpu *c, const Uop *u, bool lock) {                     \
                uint8_t *p = mem_begin_maybe_locked(c, u, ea(c, u), sizeof(T_##s), lock);          \
                T_##s a = GET_##s(c, u->reg);                                                      \
                uint32_t fl;                                                                       \
                if (lock)                                                                          \
                        __asm__ volatile("lock; xadd" #s " %[a], %[p]\n\t" SAVE                    \
                                         : [a] "+r"(a), [p] "+m"(*(M_##s *) p), "=&a"(fl)          \
                                         :                                                         \
                                         : "cc", "memory");                                        \
                else                                                                               \
                        __asm__ volatile("xadd" #s " %[a], %[p]\n\t" SAVE                          \
                                         : [a] "+r"(a), [p] "+m"(*(M_##s *) p), "=&a"(fl)          \
                                         :                                                         \
                                         : "cc", "memory");                                        \
                mem_end(c, u);                                                                     \
                c->af = fl;                                                                        \
                SET_##s(c, u->reg, a);                                                             \
        }                                                                                          \
        static void xadd_mr_##s(SoftCpu *c, const Uop *u) {                                        \
                xadd_mem_##s(c, u, false);                                                         \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void xadd_mr_lock_##s(SoftCpu *c, const Uop *u) {                                   \
                xadd_mem_##s(c, u, true);                                                          \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void cmpxchg_rr_##s(SoftCpu *c, const Uop *u) {                                     \
                T_##s have = GET_##s(c, u->rm), want = GET_##s(c, RAX), cmp = want;                \
                uint32_t fl;                                                                       \
                REG_ASM("", cmp, s, cmp, have);                                                    \
                c->af = fl;                                                                        \
                if (have == want)                                                                  \
                        SET_##s(c, u->rm, GET_##s(c, u->reg));                                     \
                else                                                                               \
                        SET_##s(c, RAX, have);                                                     \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static inline void cmpxchg_mem_##s(SoftCpu *c, const Uop *u, bool lock) {                  \
                uint8_t *p = mem_begin_maybe_locked(c, u, ea(c, u), sizeof(T_##s), lock);          \
                T_##s want = GET_##s(c, RAX), have = want, cmp = want, next = GET_##s(c, u->reg);  \
                uint32_t fl;                                                                       \
                if (lock)                                                                          \
                        __asm__ volatile("lock; cmpxchg" #s " %2, %1"                              \
                                         : "+a"(have), "+m"(*(M_##s *) p)                          \
                                         : "r"(next)                                               \
                                         : "cc", "memory");                                        \
                else                                                                               \
                        __asm__ volatile("cmpxchg" #s " %2, %1"                                    \
                                         : "+a"(have), "+m"(*(M_##s *) p)                          \
                                         : "r"(next)                                               \
                                         : "cc", "memory");                                        \
                mem_end(c, u);                                                                     \
                REG_ASM("", cmp, s, cmp, have);                                                    \
                c->af = fl;                                                                        \
                if (have != want)                                                                  \
                        SET_##s(c, RAX, have);                                                     \
        }                                                                                          \
        static void cmpxchg_mr_##s(SoftCpu *c, const Uop *u) {                                     \
                cmpxchg_mem_##s(c, u, false);                                                      \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void cmpxchg_mr_lock_##s(SoftCpu *c, const Uop *u) {                                \
                cmpxchg_mem_##s(c, u, true);                                                       \
                NEXT(c, u);                                                                        \
        }
EXCHANGE_ONE(b)
EXCHANGE_ONE(w)
EXCHANGE_ONE(l)
EXCHANGE_ONE(q)
const UopFn xchg_rr[4] = TABLE4(xchg_rr), xchg_mr[4] = TABLE4(xchg_mr);
const UopFn xadd_rr[4] = TABLE4(xadd_rr), xadd_mr[4] = TABLE4(xadd_mr),
            xadd_mr_lock[4] = TABLE4(xadd_mr_lock);
const UopFn cmpxchg_rr[4] = TABLE4(cmpxchg_rr), cmpxchg_mr[4] = TABLE4(cmpxchg_mr),
            cmpxchg_mr_lock[4] = TABLE4(cmpxchg_mr_lock);

/* ---- bits ---- */

/* The bit offset in a register reaches beyond the operand in memory. */
#define BIT_ONE(op, writes, s, n)                                                                  \
        static inline T_##s op##_value_##s(SoftCpu *c, T_##s a, T_##s bit) {                       \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE #op #s " %[b], %[a]\n\t" SAVE                             \
                                 : [a] "+r"(a), "=&a"(fl)                                          \
                                 : [b] "r"(bit), [af] "r"(c->af)                                   \
                                 : "cc");                                                          \
                c->af = fl;                                                                        \
                return a;                                                                          \
        }                                                                                          \
        static inline void op##_mem_##s(SoftCpu *c, const Uop *u, uint64_t va, T_##s bit,          \
                                        bool lock) {                                               \
                if (!(writes)) {                                                                   \
                        (void) op##_value_##s(c, READ_##s(c, u, va), bit);                         \
                } else {                                                                           \
                        uint8_t *p = mem_begin_maybe_locked(c, u, va, sizeof(T_##s), lock);        \
                        T_##s mask = (T_##s)(sizeof(T_##s) * 8 - 1);                               \
                        uint32_t fl;                                                               \
                        bit &= mask;                                                               \
                        if (lock)                                                                  \
                                __asm__ volatile(RESTORE LOCK_##op #op #s " %[b], %[p]\n\t" SAVE   \
                                                 : [p] "+m"(*(M_##s *) p), "=&a"(fl)               \
                                                 : [b] "r"(bit), [af] "r"(c->af)                   \
                                                 : "cc", "memory");                                \
                        else                                                                       \
                                __asm__ volatile(RESTORE #op #s " %[b], %[p]\n\t" SAVE             \
                                                 : [p] "+m"(*(M_##s *) p), "=&a"(fl)               \
                                                 : [b] "r"(bit), [af] "r"(c->af)                   \
                                                 : "cc", "memory");                                \
                        mem_end(c, u);                                                             \
                        c->af = fl;                                                                \
                }                                                                                  \
        }                                                                                          \
        static inline uint64_t op##_at_##s(SoftCpu *c, const Uop *u) {                             \
                S_##s offset = (S_##s) GET_##s(c, u->reg);                                         \
                Uop moved = *u;                                                                    \
                int64_t bytes = ((int64_t) offset >> (3 + (n))) * (int64_t) sizeof(T_##s);         \
                if (bytes == 0)                                                                    \
                        return ea(c, u);                                                           \
                if (UOP_ADDRESS_SIZE(u) == 3)                                                      \
                        return ea(c, u) + (uint64_t) bytes;                                        \
                moved.disp = (int32_t) ((uint32_t) moved.disp + (uint32_t) bytes);                 \
                c->cur = u;                                                                        \
                return ea_slow(c, &moved);                                                         \
        }                                                                                          \
        static void op##_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = op##_value_##s(c, GET_##s(c, u->rm), GET_##s(c, u->reg));                \
                if (writes)                                                                        \
                        SET_##s(c, u->rm, a);                                                      \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_ri_##s(SoftCpu *c, const Uop *u) {                                        \
                T_##s a = op##_value_##s(c, GET_##s(c, u->rm), (T_##s) u->imm);                    \
                if (writes)                                                                        \
                        SET_##s(c, u->rm, a);                                                      \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mr_##s(SoftCpu *c, const Uop *u) {                                        \
                op##_mem_##s(c, u, op##_at_##s(c, u), GET_##s(c, u->reg), false);                  \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mr_lock_##s(SoftCpu *c, const Uop *u) {                                   \
                op##_mem_##s(c, u, op##_at_##s(c, u), GET_##s(c, u->reg), true);                   \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mi_##s(SoftCpu *c, const Uop *u) {                                        \
                op##_mem_##s(c, u, ea(c, u), (T_##s) u->imm, false);                               \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mi_lock_##s(SoftCpu *c, const Uop *u) {                                   \
                op##_mem_##s(c, u, ea(c, u), (T_##s) u->imm, true);                                \
                NEXT(c, u);                                                                        \
        }
typedef int16_t S_w;
typedef int32_t S_l;
typedef int64_t S_q;
#define LOCK_bt "" /* never reached: BT does not write */
#define LOCK_bts "lock; "
#define LOCK_btr "lock; "
#define LOCK_btc "lock; "
#define BIT(op, writes)                                                                            \
        BIT_ONE(op, writes, w, 1) BIT_ONE(op, writes, l, 2) BIT_ONE(op, writes, q, 3)
BIT(bt, false)
BIT(bts, true)
BIT(btr, true)
BIT(btc, true)
#define BIT_TABLE(form)                                                                            \
        { TABLE3(bt_##form), TABLE3(bts_##form), TABLE3(btr_##form), TABLE3(btc_##form) }
const UopFn bt_rr[4][4] = BIT_TABLE(rr), bt_mr[4][4] = BIT_TABLE(mr),
            bt_mr_lock[4][4] = BIT_TABLE(mr_lock), bt_ri[4][4] = BIT_TABLE(ri),
            bt_mi[4][4] = BIT_TABLE(mi), bt_mi_lock[4][4] = BIT_TABLE(mi_lock);

#define SCAN_ONE(ins, s)                                                                           \
        static inline void ins##_value_##s(SoftCpu *c, const Uop *u, T_##s b) {                    \
                T_##s a = GET_##s(c, u->reg);                                                      \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE #ins #s " %[b], %[a]\n\t" SAVE                            \
                                 : [a] "+r"(a), "=&a"(fl)                                          \
                                 : [b] "r"(b), [af] "r"(c->af)                                     \
                                 : "cc");                                                          \
                c->af = fl;                                                                        \
                if (b != 0 || (u->op & 1))                                                         \
                        SET_##s(c, u->reg, a);                                                     \
        }                                                                                          \
        static void ins##_rr_##s(SoftCpu *c, const Uop *u) {                                       \
                ins##_value_##s(c, u, GET_##s(c, u->rm));                                          \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void ins##_rm_##s(SoftCpu *c, const Uop *u) {                                       \
                ins##_value_##s(c, u, READ_##s(c, u, ea(c, u)));                                   \
                NEXT(c, u);                                                                        \
        }
#define SCAN(op) SCAN_ONE(op, w) SCAN_ONE(op, l) SCAN_ONE(op, q)
SCAN(bsf)
SCAN(bsr)
SCAN(popcnt)
const UopFn scan_rr[3][4] = {TABLE3(bsf_rr), TABLE3(bsr_rr), TABLE3(popcnt_rr)};
const UopFn scan_rm[3][4] = {TABLE3(bsf_rm), TABLE3(bsr_rm), TABLE3(popcnt_rm)};

#define DOUBLE_SHIFT_ONE(op, s)                                                                    \
        static inline T_##s op##_value_##s(SoftCpu *c, const Uop *u, T_##s a) {                    \
                uint8_t count = u->imm == 0x100 ? (uint8_t) c->r[RCX] : (uint8_t) u->imm;          \
                uint32_t fl;                                                                       \
                __asm__ volatile(RESTORE #op #s " %%cl, %[b], %[a]\n\t" SAVE                       \
                                 : [a] "+r"(a), "=&a"(fl)                                          \
                                 : [b] "r"(GET_##s(c, u->reg)), "c"(count), [af] "r"(c->af)        \
                                 : "cc");                                                          \
                c->af = fl;                                                                        \
                return a;                                                                          \
        }                                                                                          \
        static void op##_rr_##s(SoftCpu *c, const Uop *u) {                                        \
                SET_##s(c, u->rm, op##_value_##s(c, u, GET_##s(c, u->rm)));                        \
                NEXT(c, u);                                                                        \
        }                                                                                          \
        static void op##_mr_##s(SoftCpu *c, const Uop *u) {                                        \
                M_##s *p = (M_##s *) mem_begin(c, u, ea(c, u), sizeof(T_##s));                     \
                *p = op##_value_##s(c, u, *p);                                                     \
                mem_end(c, u);                                                                     \
                NEXT(c, u);                                                                        \
        }
#define DOUBLE_SHIFT(op) DOUBLE_SHIFT_ONE(op, w) DOUBLE_SHIFT_ONE(op, l) DOUBLE_SHIFT_ONE(op, q)
DOUBLE_SHIFT(shld)
DOUBLE_SHIFT(shrd)
const UopFn shld_rr[2][4] = {TABLE3(shld_rr), TABLE3(shrd_rr)},
            shld_mr[2][4] = {TABLE3(shld_mr), TABLE3(shrd_mr)};
