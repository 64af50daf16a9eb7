/* SPDX-License-Identifier: Apache-2.0 */
/* Data movement, the stack and near control transfer. */
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

/* ---- the stack ---- */

/* Where an instruction has a memory operand besides, the segment in its Uop is that one's. */
static inline void check_stack(SoftCpu *c, const Uop *u, uint64_t sp) {
        if (unlikely(cpu_code64(c) &&
                     (!is_canonical(sp) || !is_canonical(sp + (1u << u->size) - 1))))
                cpu_raise_code(c, u, EXC_SS, 0);
}

static inline void push(SoftCpu *c, const Uop *u, unsigned size, uint64_t v) {
        uint64_t sp = c->r[RSP] - (1u << size);

        write_sized(c, u, stack_address(c, u, sp, 1u << size), size, v);
        stack_set(c, stack_mask(c), sp);
}

static inline uint64_t pop(SoftCpu *c, const Uop *u, unsigned size) {
        uint64_t v = read_sized(c, u, stack_address(c, u, c->r[RSP], 1u << size), size);

        stack_set(c, stack_mask(c), c->r[RSP] + (1u << size));
        return v;
}

void op_push_r64(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP] - 8;

        mem_write64(c, u, sp, c->r[u->rm]);
        c->r[RSP] = sp;
        NEXT(c, u);
}

void op_pop_r64(SoftCpu *c, const Uop *u) {
        uint64_t v = mem_read64(c, u, c->r[RSP]);

        c->r[RSP] += 8;
        c->r[u->rm] = v;
        NEXT(c, u);
}

void op_push_r(SoftCpu *c, const Uop *u) {
        push(c, u, u->size, get_reg(c, u->size, u->rm));
        NEXT(c, u);
}

void op_pop_r(SoftCpu *c, const Uop *u) {
        uint64_t v = pop(c, u, u->size);

        set_reg(c, u->size, u->rm, v);
        NEXT(c, u);
}

void op_push_i(SoftCpu *c, const Uop *u) {
        push(c, u, u->size, u->imm);
        NEXT(c, u);
}

void op_push_m(SoftCpu *c, const Uop *u) {
        uint64_t v = read_sized(c, u, ea(c, u), u->size);

        check_stack(c, u, c->r[RSP] - (1u << u->size));
        push(c, u, u->size, v);
        NEXT(c, u);
}

void op_pop_m(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP], v, va;

        check_stack(c, u, sp);
        v = read_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size);
        /* An address based on the stack pointer is formed with the value after the pop. */
        stack_set(c, stack_mask(c), sp + (1u << u->size));
        va = c->r[u->base] + (c->r[u->index] << u->scale) + (uint64_t) (int64_t) u->disp;
        if (u->ea != (EA_PLAIN | 3u << 4)) {
                uint64_t after = c->r[RSP];

                /* ea_slow() may fault, and the pointer must be the old one then. */
                c->r[RSP] = sp;
                if (u->base == RSP) {
                        Uop moved = *u;

                        moved.disp = (int32_t) ((uint32_t) moved.disp + (1u << u->size));
                        va = ea_slow(c, &moved);
                } else {
                        va = ea_slow(c, u);
                }
                write_sized(c, u, va, u->size, v);
                c->r[RSP] = after;
        } else {
                c->r[RSP] = sp;
                write_sized(c, u, va, u->size, v);
                stack_set(c, stack_mask(c), sp + (1u << u->size));
        }
        NEXT(c, u);
}

void op_leave(SoftCpu *c, const Uop *u) {
        uint64_t frame = c->r[RBP],
                 v = read_sized(c, u, stack_address(c, u, frame, 1u << u->size), u->size);

        stack_set(c, stack_mask(c), frame + (1u << u->size));
        set_reg(c, u->size, RBP, v);
        NEXT(c, u);
}

/* ENTER with nesting level 0 and more; imm: bytes, level in bits 16-20. */
void op_enter(SoftCpu *c, const Uop *u) {
        unsigned level = (u->imm >> 16) & 31, bytes = 1u << u->size;
        uint64_t sp = c->r[RSP], frame, bp = c->r[RBP];

        sp -= bytes;
        write_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size, bp);
        frame = (c->r[RSP] & ~stack_mask(c)) | (sp & stack_mask(c)); /* a borrow stays in SP */
        for (unsigned i = 1; i < level; i++) {
                uint64_t v;

                bp -= bytes;
                v = read_sized(c, u, stack_address(c, u, bp, 1u << u->size), u->size);
                sp -= bytes;
                write_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size, v);
        }
        if (level > 0) {
                sp -= bytes;
                write_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size, frame);
        }
        sp -= u->imm & 0xffff;
        /* What will be the top of the stack must be writable. */
        (void) mem_begin(c, u, stack_address(c, u, sp, 1u << u->size), bytes);
        c->post_write = 0;
        set_reg(c, u->size, RBP, frame);
        stack_set(c, stack_mask(c), sp);
        NEXT(c, u);
}

void op_pusha(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP];
        unsigned bytes = 1u << u->size;

        for (unsigned i = 0; i < 8; i++)
                write_sized(c, u, stack_address(c, u, sp - (i + 1) * bytes, 1u << u->size), u->size,
                            i == 4 ? sp : c->r[i]);
        stack_set(c, stack_mask(c), sp - 8 * bytes);
        NEXT(c, u);
}

void op_popa(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP], v[8];
        unsigned bytes = 1u << u->size;

        for (unsigned i = 0; i < 8; i++)
                v[i] = read_sized(c, u, stack_address(c, u, sp + i * bytes, 1u << u->size),
                                  u->size);
        for (unsigned i = 0; i < 8; i++)
                if (i != 3)
                        set_reg(c, u->size, 7 - i, v[i]);
        stack_set(c, stack_mask(c), sp + 8 * bytes);
        NEXT(c, u);
}

void op_pushf(SoftCpu *c, const Uop *u) {
        const uint32_t flags = v86_vif_is_if(c, u) ? v86_flags(c) : cpu_flags(c);

        push(c, u, u->size, flags & ~(FLAG_VM | FLAG_RF));
        NEXT(c, u);
}

void op_popf(SoftCpu *c, const Uop *u) {
        uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID;
        uint32_t old = c->flags;
        uint64_t v;

        if (unlikely(v86_vif_is_if(c, u))) {
                const uint64_t sp = c->r[RSP];

                v86_set_flags(c, u, (uint32_t) mem_read_slow(c, u, stack_address(c, u, sp, 2), 2));
                stack_set(c, stack_mask(c), sp + 2);
                NEXT(c, u);
        }
        v = pop(c, u, u->size);
        if (c->cpl == 0)
                mask |= FLAG_IOPL;
        if (c->cpl <= (c->flags & FLAG_IOPL) >> 12)
                mask |= FLAG_IF;
        if (u->size == 1)
                mask &= 0xffff;
        cpu_set_flags(c, (uint32_t) v, mask);
        /* Interrupts that were held off, and single steps, are looked at between blocks. */
        if ((c->flags & ~old & FLAG_IF) || (c->flags & FLAG_TF))
                GOTO(c, uop_next_rip(c, u));
        NEXT(c, u);
}

/* ---- near transfers; a block ends with each of them ---- */

static inline uint64_t near_mask(const SoftCpu *c, const Uop *u) {
        return cpu_code64(c) ? UINT64_MAX : u->size == 1 ? 0xffff : UINT32_MAX;
}

static inline void check_target(SoftCpu *c, const Uop *u, uint64_t target) {
        if (cpu_code64(c)) {
                if (unlikely(!is_canonical(target)))
                        cpu_raise_code(c, u, EXC_GP, 0);
        } else if (unlikely(target > c->seg[SEG_CS].limit)) {
                cpu_raise_code(c, u, EXC_GP, 0);
        }
}

void op_jcc(SoftCpu *c, const Uop *u) {
        uint64_t next = uop_next_rip(c, u);

        if (condition(c->af, u->op))
                GOTO(c, (next + u->imm) & near_mask(c, u));
        GOTO(c, next);
}

void op_jmp_rel(SoftCpu *c, const Uop *u) {
        uint64_t target = (uop_next_rip(c, u) + u->imm) & near_mask(c, u);

        check_target(c, u, target);
        GOTO(c, target);
}

void op_jmp_r(SoftCpu *c, const Uop *u) {
        uint64_t target = get_reg(c, u->size, u->rm);

        check_target(c, u, target);
        GOTO(c, target);
}

void op_jmp_m(SoftCpu *c, const Uop *u) {
        uint64_t target = read_sized(c, u, ea(c, u), u->size);

        check_target(c, u, target);
        GOTO(c, target);
}

void op_call_rel(SoftCpu *c, const Uop *u) {
        uint64_t next = uop_next_rip(c, u), target = (next + u->imm) & near_mask(c, u);

        check_target(c, u, target);
        push(c, u, u->size, next);
        GOTO(c, target);
}

void op_call_r(SoftCpu *c, const Uop *u) {
        uint64_t target = get_reg(c, u->size, u->rm);

        check_target(c, u, target);
        push(c, u, u->size, uop_next_rip(c, u));
        GOTO(c, target);
}

void op_call_m(SoftCpu *c, const Uop *u) {
        uint64_t target = read_sized(c, u, ea(c, u), u->size);

        check_target(c, u, target);
        check_stack(c, u, c->r[RSP] - (1u << u->size));
        push(c, u, u->size, uop_next_rip(c, u));
        GOTO(c, target);
}

void op_ret(SoftCpu *c, const Uop *u) {
        uint64_t target = read_sized(c, u, stack_address(c, u, c->r[RSP], 1u << u->size), u->size);

        check_target(c, u, target);
        stack_set(c, stack_mask(c), c->r[RSP] + (1u << u->size) + u->imm);
        GOTO(c, target);
}

/* LOOPNE, LOOPE, LOOP (op 0, 1, 2); the counter has the address size. */
void op_loop_rel(SoftCpu *c, const Uop *u) {
        uint64_t count, next = uop_next_rip(c, u);
        bool taken;

        switch (UOP_ADDRESS_SIZE(u)) {
        case 1:
                count = --R16(c, RCX);
                break;
        case 2:
                count = c->r[RCX] = (uint32_t) (c->r[RCX] - 1);
                break;
        default:
                count = --c->r[RCX];
                break;
        }
        taken = count != 0 && (u->op == 2 || ((c->af & AF_ZF) != 0) == (u->op == 1));
        GOTO(c, taken ? (next + u->imm) & near_mask(c, u) : next);
}

void op_jcxz_rel(SoftCpu *c, const Uop *u) {
        uint64_t next = uop_next_rip(c, u);
        unsigned size = UOP_ADDRESS_SIZE(u);
        uint64_t count = size == 1 ? R16(c, RCX) : size == 2 ? R32(c, RCX) : c->r[RCX];

        GOTO(c, count == 0 ? (next + u->imm) & near_mask(c, u) : next);
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
