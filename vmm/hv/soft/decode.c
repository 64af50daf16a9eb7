/* SPDX-License-Identifier: Apache-2.0 */
/* From bytes to Uops: prefixes, opcode maps, operands (SDM volume 2 chapter 2 and appendix A). */
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"

#define INSTRUCTION_MAX 15u

typedef struct Decoder {
        ThunkCache *thunks;
        const uint8_t *code; /* of this instruction */
        unsigned pos, avail;
        bool truncated;
        unsigned mode; /* MODE_16, MODE_32, MODE_64 */
        Uop *u;
        /* prefixes */
        uint8_t rex;
        bool has_rex, opsize, addrsize_prefix, lock;
        uint8_t rep;    /* 0, 0xf2, 0xf3 */
        int seg;        /* override or -1 */
        uint8_t prefix; /* mandatory prefix of SSE: 0 none, 1 66, 2 F3, 3 F2 */
        /* ModRM */
        uint8_t mod, reg, rm;
        unsigned osize, asize; /* 1..3 */
        bool end;
} Decoder;

static uint8_t byte(Decoder *d) {
        if (d->pos >= d->avail || d->pos >= INSTRUCTION_MAX) {
                d->truncated = true;
                return 0;
        }
        return d->code[d->pos++];
}

static uint64_t immediate(Decoder *d, unsigned bytes) {
        uint64_t v = 0;

        for (unsigned i = 0; i < bytes; i++)
                v |= (uint64_t) byte(d) << (8 * i);
        return v;
}

static uint64_t immediate_signed(Decoder *d, unsigned bytes) {
        uint64_t v = immediate(d, bytes);

        return bytes == 1   ? (uint64_t) (int64_t) (int8_t) v
               : bytes == 2 ? (uint64_t) (int64_t) (int16_t) v
               : bytes == 4 ? (uint64_t) (int64_t) (int32_t) v
                            : v;
}

/* The usual immediate: operand size, at most 4 bytes and sign-extended. */
static uint64_t immediate_osize(Decoder *d, unsigned size) {
        return immediate_signed(d, size == 0 ? 1 : size == 1 ? 2 : 4);
}

static bool is64(const Decoder *d) {
        return d->mode == MODE_64;
}

/* Where the byte register lies among the registers. */
static uint8_t byte_reg(const Decoder *d, unsigned n) {
        if (!d->has_rex && n >= 4 && n < 8)
                return (uint8_t) ((n - 4) * 8 + 1);
        return (uint8_t) (n * 8);
}

static uint8_t sized_reg(const Decoder *d, unsigned n, unsigned size) {
        return size == 0 ? byte_reg(d, n) : (uint8_t) n;
}

static void address16(Decoder *d) {
        static const uint8_t bases[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
        static const uint8_t indexes[8] = {RSI,      RDI,      RSI,      RDI,
                                           REG_ZERO, REG_ZERO, REG_ZERO, REG_ZERO};
        Uop *u = d->u;
        unsigned rm = d->rm & 7;

        u->base = bases[rm];
        u->index = indexes[rm];
        u->seg = u->base == RBP ? SEG_SS : SEG_DS;
        if (d->mod == 0 && rm == 6) {
                u->base = REG_ZERO;
                u->seg = SEG_DS;
                u->disp = (int32_t) (int16_t) immediate(d, 2);
        } else if (d->mod == 1) {
                u->disp = (int8_t) byte(d);
        } else if (d->mod == 2) {
                u->disp = (int32_t) (int16_t) immediate(d, 2);
        }
}

static bool address32(Decoder *d) {
        Uop *u = d->u;
        unsigned rm = d->rm & 7;
        bool rip = false;

        u->seg = SEG_DS;
        if (rm == 4) {
                uint8_t sib = byte(d);
                unsigned base = sib & 7u, index = (sib >> 3 & 7u) | (d->rex & 2 ? 8u : 0);

                u->scale = sib >> 6;
                u->index = index == 4 ? REG_ZERO : (uint8_t) index;
                if (base == 5 && d->mod == 0) {
                        u->base = REG_ZERO;
                        u->disp = (int32_t) immediate(d, 4);
                } else {
                        u->base = (uint8_t) (base | (d->rex & 1 ? 8u : 0));
                        if (u->base == RSP || u->base == RBP)
                                u->seg = SEG_SS;
                }
        } else if (rm == 5 && d->mod == 0) {
                u->disp = (int32_t) immediate(d, 4);
                rip = is64(d);
                u->base = rip ? REG_BLOCK : REG_ZERO;
        } else {
                u->base = d->rm;
                if (u->base == RBP)
                        u->seg = SEG_SS;
        }
        if (d->mod == 1)
                u->disp = (int8_t) byte(d);
        else if (d->mod == 2)
                u->disp = (int32_t) immediate(d, 4);
        return rip;
}

static bool rip_relative(const Decoder *d) {
        return d->mod == 0 && (d->rm & 7) == 5 && is64(d);
}

static void modrm(Decoder *d) {
        uint8_t b = byte(d);

        d->mod = b >> 6;
        d->reg = (uint8_t) ((b >> 3 & 7) | (d->rex & 4 ? 8 : 0));
        d->rm = (uint8_t) ((b & 7) | (d->rex & 1 ? 8 : 0));
        if (d->mod == 3)
                return;
        if (d->asize == 1)
                address16(d);
        else
                (void) address32(d);
        if (d->seg >= 0)
                d->u->seg = (uint8_t) d->seg;
}

static bool is_mem(const Decoder *d) {
        return d->mod != 3;
}

/* ---- choosing handlers ---- */

static void set(Decoder *d, UopFn fn) {
        d->u->fn = fn;
}

static void end(Decoder *d, UopFn fn) {
        d->u->fn = fn;
        d->end = true;
}

static void invalid(Decoder *d) {
        end(d, op_invalid);
}

/* reg and rm for operands of @size */
static void operands(Decoder *d, unsigned size) {
        d->u->size = (uint8_t) size;
        d->u->reg = sized_reg(d, d->reg, size);
        d->u->rm = sized_reg(d, d->rm, size);
}

static void choose(Decoder *d, UopFn for_reg, UopFn for_mem) {
        set(d, is_mem(d) ? for_mem : for_reg);
}

static void only_mem(Decoder *d, UopFn fn) {
        if (is_mem(d))
                set(d, fn);
        else
                invalid(d);
}

/* A locked form exists only where memory is written. */
static void choose_lock(Decoder *d, UopFn for_reg, UopFn for_mem, UopFn for_lock) {
        if (d->lock && !is_mem(d))
                invalid(d);
        else
                set(d, !is_mem(d) ? for_reg : d->lock ? for_lock : for_mem);
        d->lock = false;
}

static unsigned stack_osize(const Decoder *d) {
        return is64(d) ? (d->opsize ? 1 : 3) : d->osize;
}

static unsigned branch_osize(const Decoder *d) {
        return is64(d) ? 3
                       : d->osize; /* Intel: the operand size prefix is ignored in 64-bit mode */
}

static void alu(Decoder *d, uint8_t op) {
        unsigned kind = op >> 3 & 7, form = op & 7, size = form & 1 ? d->osize : 0;

        if (form < 4) {
                modrm(d);
                operands(d, size);
                if (form < 2) {
                        if (kind == ALU_CMP && d->lock) {
                                invalid(d);
                        } else if (is_mem(d)) {
                                choose_lock(d, NULL, alu_mr[kind][size], alu_mr_lock[kind][size]);
                        } else {
                                uint8_t t =
                                        d->u->reg; /* the destination is rm: swap for the rr form */

                                d->u->reg = d->u->rm;
                                d->u->rm = t;
                                choose_lock(d, alu_rr[kind][size], NULL, NULL);
                        }
                } else {
                        choose(d, alu_rr[kind][size], alu_rm[kind][size]);
                }
                return;
        }
        d->u->rm = 0; /* AL.. RAX */
        d->u->size = (uint8_t) size;
        d->u->imm = immediate_osize(d, size);
        set(d, alu_ri[kind][size]);
}

static void group1(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0, kind;

        modrm(d);
        kind = d->reg & 7;
        operands(d, size);
        d->u->imm = op == 0x81 ? immediate_osize(d, size) : immediate_signed(d, 1);
        if (kind == ALU_CMP && d->lock)
                invalid(d);
        else
                choose_lock(d, alu_ri[kind][size], alu_mi[kind][size], alu_mi_lock[kind][size]);
}

static void shift(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0, kind;

        modrm(d);
        kind = d->reg & 7;
        operands(d, size);
        if (op >= 0xd2) {
                choose(d, shift_rc[kind][size], shift_mc[kind][size]);
                return;
        }
        d->u->imm = op >= 0xd0 ? 1 : byte(d);
        choose(d, shift_ri[kind][size], shift_mi[kind][size]);
}

static void group3(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0;

        modrm(d);
        operands(d, size);
        switch (d->reg & 7) {
        case 0:
        case 1:
                d->u->imm = immediate_osize(d, size);
                choose(d, test_ri[size], test_mi[size]);
                break;
        case 2:
        case 3: {
                unsigned kind = (d->reg & 7) == 2 ? UNARY_NOT : UNARY_NEG;

                choose_lock(d, unary_r[kind][size], unary_m[kind][size], unary_m_lock[kind][size]);
                break;
        }
        case 4:
                choose(d, mul_r[size], mul_m[size]);
                break;
        case 5:
                choose(d, imul1_r[size], imul1_m[size]);
                break;
        case 6:
                choose(d, div_r[size], div_m[size]);
                break;
        default:
                choose(d, idiv_r[size], idiv_m[size]);
                break;
        }
}

static void group45(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0, kind;

        modrm(d);
        kind = d->reg & 7;
        if (kind < 2) {
                operands(d, size);
                kind = kind ? UNARY_DEC : UNARY_INC;
                choose_lock(d, unary_r[kind][size], unary_m[kind][size], unary_m_lock[kind][size]);
                return;
        }
        if (op == 0xfe) {
                invalid(d);
                return;
        }
        switch (kind) {
        case 2:
                operands(d, branch_osize(d));
                end(d, is_mem(d) ? op_call_m : op_call_r);
                break;
        case 4:
                operands(d, branch_osize(d));
                end(d, is_mem(d) ? op_jmp_m : op_jmp_r);
                break;
        case 3:
        case 5:
                operands(d, d->osize);
                if (is_mem(d))
                        end(d, kind == 3 ? op_far_call_m : op_far_jmp_m);
                else
                        invalid(d);
                break;
        case 6:
                operands(d, stack_osize(d));
                choose(d, d->u->size == 3 ? op_push_r64 : op_push_r, op_push_m);
                break;
        default:
                invalid(d);
                break;
        }
}

static void string(Decoder *d, unsigned kind, unsigned size) {
        d->u->size = (uint8_t) size;
        d->u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
        d->u->op = d->rep == 0xf3 ? 1 : d->rep == 0xf2 ? 2 : 0;
        /* REPNE means something only to CMPS and SCAS; elsewhere it repeats. */
        if (d->u->op == 2 && kind != STRING_CMPS && kind != STRING_SCAS)
                d->u->op = 1;
        set(d, string_ops[kind][size]);
}

static void far_immediate(Decoder *d, UopFn fn) {
        uint64_t offset, selector;

        if (is64(d)) {
                invalid(d);
                return;
        }
        offset = immediate(d, d->osize == 1 ? 2 : 4);
        selector = immediate(d, 2);
        d->u->imm = selector << 32 | offset;
        d->u->size = (uint8_t) d->osize;
        end(d, fn);
}

static void port(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? MIN(d->osize, 2u) : 0;

        d->u->size = (uint8_t) size;
        d->u->op = op >= 0xec;
        if (!d->u->op)
                d->u->imm = byte(d);
        set(d, op & 2 ? op_out_i : op_in_i);
}

static void moffs(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0;
        uint64_t at = immediate(d, d->asize == 3 ? 8 : d->asize == 2 ? 4 : 2);
        Uop *u = d->u;

        u->size = (uint8_t) size;
        u->reg = 0;
        u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
        u->base = REG_ZERO;
        u->index = REG_ZERO;
        u->disp = (int32_t) at;
        if ((uint64_t) (int64_t) u->disp != at && d->asize == 3) {
                /* A 64-bit offset does not fit: XLAT-like forms are too rare to deserve a wider Uop. */
                u->imm = at;
                invalid(d);
                return;
        }
        set(d, op & 2 ? mov_mr[size] : mov_rm[size]);
}

/* ---- x87: D8-DF ---- */

static void x87(Decoder *d, uint8_t op) {
        unsigned n;
        uint8_t bytes[2];

        modrm(d);
        n = d->reg & 7;
        if (!is_mem(d)) {
                uint8_t m = (uint8_t) (0xc0 | n << 3 | (d->rm & 7));
                ThunkKind kind = THUNK_PLAIN;
                UopFn fn = op_x87_r;

                if ((op == 0xda || op == 0xdb) && n < 4) {
                        kind = THUNK_WITH_FLAGS;
                        fn = op_x87_fcmov;
                } else if ((op == 0xdb || op == 0xdf) && (n == 5 || n == 6)) {
                        kind = THUNK_FLAGS;
                        fn = op_x87_fcomi;
                } else if (op == 0xdb && m == 0xe2) {
                        set(d, op_x87_fnclex);
                        return;
                } else if (op == 0xdb && m == 0xe3) {
                        set(d, op_x87_fninit);
                        return;
                } else if (op == 0xdb && (m == 0xe0 || m == 0xe1 || m == 0xe4)) {
                        set(d, op_nop); /* 8087 and 287 leftovers */
                        return;
                } else if (op == 0xdf && m == 0xe0) {
                        set(d, op_x87_fnstsw_ax);
                        return;
                } else if ((op == 0xd9 && (m == 0xd1 || (m >= 0xd2 && m <= 0xd7) || m == 0xe2 ||
                                           m == 0xe3 || m == 0xe6 || m == 0xe7 || m == 0xef)) ||
                           (op == 0xda && m != 0xe9 && m >= 0xe0) ||
                           (op == 0xdb && m >= 0xe5 && m <= 0xe7) || (op == 0xdb && m >= 0xf8) ||
                           (op == 0xdd && m >= 0xf0) ||
                           (op == 0xde && m >= 0xd8 && m <= 0xdf && m != 0xd9) ||
                           (op == 0xdf && (m > 0xe0 && m < 0xe8)) || (op == 0xdf && m >= 0xf8)) {
                        invalid(d);
                        return;
                }
                bytes[0] = op;
                bytes[1] = m;
                d->u->imm = (uint64_t) (uintptr_t) thunk_get(d->thunks, kind, bytes, 2);
                set(d, fn);
                return;
        }
        {
                /* bytes of the memory operand by opcode and reg; 0x80 = store; 0 = special or invalid */
                static const uint8_t sizes[8][8] = {
                        {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, 0x84, 0x84, 0, 0, 0, 0},
                        {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0x84, 0x84, 0x84, 0, 10, 0, 0x8a},
                        {8, 8, 8, 8, 8, 8, 8, 8}, {8, 0x88, 0x88, 0x88, 0, 0, 0, 0},
                        {2, 2, 2, 2, 2, 2, 2, 2}, {2, 0x82, 0x82, 0x82, 10, 8, 0x8a, 0x88},
                };
                uint8_t size = sizes[op - 0xd8][n];

                if (size) {
                        bytes[0] = op;
                        bytes[1] = (uint8_t) (n << 3 | 6); /* (%rsi) */
                        d->u->op = size & 0x7f;
                        d->u->imm =
                                (uint64_t) (uintptr_t) thunk_get(d->thunks, THUNK_PLAIN, bytes, 2);
                        set(d, size & 0x80 ? op_x87_store : op_x87_load);
                } else if (op == 0xd9 && n == 4) {
                        set(d, op_x87_fldenv);
                } else if (op == 0xd9 && n == 5) {
                        set(d, op_x87_fldcw);
                } else if (op == 0xd9 && n == 6) {
                        set(d, op_x87_fnstenv);
                } else if (op == 0xd9 && n == 7) {
                        set(d, op_x87_fnstcw);
                } else if (op == 0xdd && n == 4) {
                        set(d, op_x87_frstor);
                } else if (op == 0xdd && n == 6) {
                        set(d, op_x87_fnsave);
                } else if (op == 0xdd && n == 7) {
                        set(d, op_x87_fnstsw_m);
                } else {
                        invalid(d);
                }
        }
}

/* ---- vector instructions ---- */

/* The instruction for a thunk: mandatory prefix, optional REX.W, map, opcode, ModRM, optional immediate. */
static void thunk(Decoder *d, ThunkKind kind, unsigned map, uint8_t op, uint8_t m, int imm) {
        static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
        uint8_t b[8];
        unsigned n = 0;

        if (d->prefix)
                b[n++] = prefixes[d->prefix];
        if (d->rex & 8)
                b[n++] = 0x48;
        b[n++] = 0x0f;
        if (map)
                b[n++] = map == 2 ? 0x38 : 0x3a;
        b[n++] = op;
        b[n++] = m;
        if (imm >= 0)
                b[n++] = (uint8_t) imm;
        d->u->imm = (uint64_t) (uintptr_t) thunk_get(d->thunks, kind, b, n);
        if (!d->u->imm)
                invalid(d);
}

#define M_RSI 0x06 /* reg 0, (%rsi) */

/* xmm <- xmm op source of 1 << size bytes */
static void sse(Decoder *d, unsigned map, uint8_t op, unsigned size, int imm) {
        d->u->size = (uint8_t) size;
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        choose(d, op_sse_rr, op_sse_rm);
        thunk(d, THUNK_XMM, map, op, M_RSI, imm);
}

static void mmx(Decoder *d, unsigned map, uint8_t op, int imm) {
        d->u->size = 3;
        choose(d, op_mmx_rr, op_mmx_rm);
        thunk(d, THUNK_PLAIN, map, op,
              (uint8_t) (is_mem(d) ? (d->reg & 7) << 3 | 6
                                   : 0xc0 | (d->reg & 7) << 3 | (d->rm & 7)),
              imm);
}

static void sse_or_mmx(Decoder *d, unsigned map, uint8_t op, int imm) {
        if (d->prefix == 1)
                sse(d, map, op, 4, imm);
        else if (d->prefix == 0)
                mmx(d, map, op, imm);
        else
                invalid(d);
}

static void vector_move(Decoder *d, UopFn rr, UopFn load, UopFn store, bool to_rm) {
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        if (is_mem(d)) {
                set(d, to_rm ? store : load);
                return;
        }
        if (to_rm) {
                d->u->reg = d->rm;
                d->u->rm = d->reg;
        }
        set(d, rr);
}

static void half_move(Decoder *d, uint8_t op) {
        bool high = op & 4, store = op & 1;

        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->op = high;
        if (d->prefix >= 2) { /* MOVSLDUP MOVDDUP MOVSHDUP */
                if (store || (op == 0x16 && d->prefix == 3))
                        invalid(d);
                else
                        sse(d, 0, op, d->prefix == 3 ? 3 : 4, -1);
        } else if (is_mem(d)) {
                set(d, store ? op_mov_half_store : op_mov_half_load);
        } else if (store || d->prefix) {
                invalid(d);
        } else {
                set(d, high ? op_movlhps : op_movhlps);
        }
}

static void gpr_to_vector(Decoder *d, uint8_t op) {
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = d->rex & 8 ? 3 : 2;
        if (d->prefix >= 2) { /* CVTSI2SS/SD */
                choose(d, op_sse_from_gpr_r, op_sse_from_gpr_m);
                thunk(d, THUNK_XMM, 0, op, M_RSI, -1);
        } else if (is_mem(d)) {
                sse(d, 0, op, 3, -1);
        } else { /* CVTPI2PS/PD from an MMX register */
                set(d, op_sse_rr);
                d->u->rm = 0;
                thunk(d, THUNK_XMM, 0, op, (uint8_t) (0xc0 | (d->rm & 7)), -1);
        }
}

static void vector_to_gpr(Decoder *d, uint8_t op) {
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        if (d->prefix >= 2) {
                d->u->size = d->prefix == 2 ? 2 : 3;
                choose(d, op_sse_to_gpr_r, op_sse_to_gpr_m);
                thunk(d, THUNK_PLAIN, 0, op, M_RSI, -1);
        } else { /* CVT(T)PS2PI, CVT(T)PD2PI to an MMX register */
                d->u->size = d->prefix == 1 ? 4 : 3;
                if (!is_mem(d))
                        d->u->size = 5; /* the source is xmm rm */
                set(d, op_mmx_rm);
                thunk(d, THUNK_PLAIN, 0, op, (uint8_t) ((d->reg & 7) << 3 | 6), -1);
        }
}

static void movd(Decoder *d, uint8_t op) {
        bool wide = d->rex & 8;

        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = wide ? 3 : 2;
        if (op == 0x7e && d->prefix == 2) { /* MOVQ xmm, xmm/m64 */
                d->u->size = 3;
                choose(d, op_movq_rr, op_mov_low_load);
        } else if (d->prefix == 1) {
                if (op == 0x6e)
                        choose(d, op_movd_from_gpr, op_movd_load);
                else
                        choose(d, op_movd_to_gpr, op_movd_store);
        } else if (d->prefix == 0) {
                uint8_t m = (uint8_t) ((d->reg & 7) << 3 | 6);

                if (op == 0x6e) {
                        choose(d, op_mmx_from_gpr, op_mmx_rm);
                        thunk(d, THUNK_PLAIN, 0, op, m, -1);
                } else if (is_mem(d)) {
                        set(d, op_mmx_store);
                        thunk(d, THUNK_PLAIN, 0, op, m, -1);
                } else { /* movd %mm, %eax: the general register of the thunk is rax */
                        set(d, op_mmx_to_gpr);
                        d->u->reg = d->rm;
                        thunk(d, THUNK_PLAIN, 0, op, (uint8_t) (0xc0 | (d->reg & 7) << 3), -1);
                }
        } else {
                invalid(d);
        }
}

static void shift_group(Decoder *d, uint8_t op) {
        unsigned kind = d->reg & 7;
        uint8_t imm = byte(d);
        bool ok = op == 0x73
                          ? kind == 2 || kind == 6 || (d->prefix == 1 && (kind == 3 || kind == 7))
                          : kind == 2 || kind == 6 || kind == 4;

        if (is_mem(d) || !ok || d->prefix > 1 || (op == 0x72 && 0)) {
                invalid(d);
                return;
        }
        d->u->rm = d->rm;
        if (d->prefix == 1) {
                set(d, op_sse_shift);
                thunk(d, THUNK_XMM, 0, op, (uint8_t) (0xc0 | kind << 3), imm);
        } else {
                set(d, op_mmx_rr);
                thunk(d, THUNK_PLAIN, 0, op, (uint8_t) (0xc0 | kind << 3 | (d->rm & 7)), imm);
        }
}

static void insert_word(Decoder *d) {
        int imm = byte(d);

        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = 1;
        d->rex = 0;
        if (d->prefix == 1) {
                choose(d, op_sse_insert_r, op_sse_insert_m);
                thunk(d, THUNK_XMM, 0, 0xc4, M_RSI, imm);
        } else if (d->prefix == 0) {
                choose(d, op_mmx_from_gpr, op_mmx_rm);
                thunk(d, THUNK_PLAIN, 0, 0xc4, (uint8_t) ((d->reg & 7) << 3 | 6), imm);
        } else {
                invalid(d);
        }
}

static void extract_word(Decoder *d, uint8_t op, int imm) {
        if (is_mem(d) || d->prefix > 1) {
                invalid(d);
                return;
        }
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = 2;
        d->rex = 0;
        if (d->prefix == 1) {
                set(d, op_sse_mask_r);
                thunk(d, THUNK_XMM_SOURCE, 0, op, 0xc0, imm);
        } else {
                set(d, op_mmx_to_gpr);
                thunk(d, THUNK_PLAIN, 0, op, (uint8_t) (0xc0 | (d->rm & 7)), imm);
        }
}

/* 0F map opcodes of MMX and SSE. */
static void vector0f(Decoder *d, uint8_t op) {
        modrm(d);
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        switch (op) {
        case 0x10:
        case 0x11:
                if (d->prefix < 2) {
                        vector_move(d, op_movx_rr, op_movx_load, op_movx_store, op & 1);
                } else {
                        d->u->size = d->prefix == 2 ? 2 : 3;
                        vector_move(d, op_mov_low_rr, op_mov_low_load, op_mov_low_store, op & 1);
                }
                break;
        case 0x12:
        case 0x13:
        case 0x16:
        case 0x17:
                half_move(d, op);
                break;
        case 0x14:
        case 0x15:
                if (d->prefix < 2)
                        sse(d, 0, op, 4, -1);
                else
                        invalid(d);
                break;
        case 0x28:
        case 0x29:
                if (d->prefix < 2)
                        vector_move(d, op_movx_rr, op_movx_load_aligned, op_movx_store_aligned,
                                    op & 1);
                else
                        invalid(d);
                break;
        case 0x2a:
                gpr_to_vector(d, op);
                break;
        case 0x2b:
        case 0xe7:
                if (op == 0xe7 && d->prefix == 0 && is_mem(d)) {
                        d->u->size = 3;
                        set(d, op_mmx_store);
                        thunk(d, THUNK_PLAIN, 0, 0x7f, (uint8_t) ((d->reg & 7) << 3 | 6), -1);
                } else if (is_mem(d) && d->prefix < 2 && (op == 0x2b || d->prefix == 1)) {
                        set(d, op_movx_store_aligned);
                } else {
                        invalid(d);
                }
                break;
        case 0x2c:
        case 0x2d:
                vector_to_gpr(d, op);
                break;
        case 0x2e:
        case 0x2f:
                if (d->prefix > 1) {
                        invalid(d);
                        break;
                }
                d->u->size = d->prefix == 1 ? 3 : 2;
                choose(d, op_sse_flags_rr, op_sse_flags_rm);
                thunk(d, THUNK_XMM_FLAGS, 0, op, M_RSI, -1);
                break;
        case 0x50:
                if (is_mem(d) || d->prefix > 1) {
                        invalid(d);
                        break;
                }
                d->rex = 0;
                set(d, op_sse_mask_r);
                thunk(d, THUNK_XMM_SOURCE, 0, op, 0xc0, -1);
                break;
        case 0x52:
        case 0x53:
                if (d->prefix == 1 || d->prefix == 3)
                        invalid(d);
                else
                        sse(d, 0, op, d->prefix == 2 ? 2 : 4, -1);
                break;
        case 0x51:
        case 0x54 ... 0x59:
        case 0x5c ... 0x5f:
                if (op >= 0x54 && op <= 0x57 && d->prefix > 1)
                        invalid(d);
                else
                        sse(d, 0, op, d->prefix == 2 ? 2 : d->prefix == 3 ? 3 : 4, -1);
                break;
        case 0x5a:
                sse(d, 0, op, d->prefix == 0 ? 3 : d->prefix == 1 ? 4 : d->prefix == 2 ? 2 : 3, -1);
                break;
        case 0x5b:
                if (d->prefix == 3)
                        invalid(d);
                else
                        sse(d, 0, op, 4, -1);
                break;
        case 0x6c:
        case 0x6d:
        case 0x7c:
        case 0x7d:
        case 0xd0:
                if (d->prefix == 1 || (d->prefix == 3 && op >= 0x7c))
                        sse(d, 0, op, 4, -1);
                else
                        invalid(d);
                break;
        case 0x6e:
        case 0x7e:
                movd(d, op);
                break;
        case 0x6f:
        case 0x7f:
                if (d->prefix == 1) {
                        vector_move(d, op_movx_rr, op_movx_load_aligned, op_movx_store_aligned,
                                    op == 0x7f);
                } else if (d->prefix == 2) {
                        vector_move(d, op_movx_rr, op_movx_load, op_movx_store, op == 0x7f);
                } else if (d->prefix == 0) {
                        d->u->size = 3;
                        if (op == 0x7f && is_mem(d)) {
                                set(d, op_mmx_store);
                                d->rex = 0;
                                thunk(d, THUNK_PLAIN, 0, op, (uint8_t) ((d->reg & 7) << 3 | 6), -1);
                        } else {
                                mmx(d, 0, op, -1);
                        }
                } else {
                        invalid(d);
                }
                break;
        case 0x70:
        case 0xc6: {
                int imm = byte(d);

                if (op == 0xc6 ? d->prefix > 1 : false)
                        invalid(d);
                else if (op == 0x70 && d->prefix == 0)
                        mmx(d, 0, op, imm);
                else
                        sse(d, 0, op, 4, imm);
                break;
        }
        case 0x71 ... 0x73:
                shift_group(d, op);
                break;
        case 0xc2: {
                int imm = byte(d);

                sse(d, 0, op, d->prefix == 2 ? 2 : d->prefix == 3 ? 3 : 4, imm);
                break;
        }
        case 0xc4:
                insert_word(d);
                break;
        case 0xc5: {
                int imm = byte(d);

                extract_word(d, op, imm);
                break;
        }
        case 0xd6:
                d->u->size = 3;
                if (d->prefix == 1) { /* MOVQ xmm/m64, xmm */
                        if (is_mem(d)) {
                                set(d, op_mov_low_store);
                        } else {
                                d->u->reg = d->rm;
                                d->u->rm = d->reg;
                                set(d, op_movq_rr);
                        }
                } else if (!is_mem(d) && d->prefix == 2) {
                        set(d, op_movq2dq);
                        d->prefix = 0;
                        d->rex = 0;
                        thunk(d, THUNK_PLAIN, 0, 0x7f, (uint8_t) ((d->rm & 7) << 3 | 6), -1);
                } else if (!is_mem(d) && d->prefix == 3) {
                        set(d, op_movdq2q);
                        d->prefix = 0;
                        d->rex = 0;
                        thunk(d, THUNK_PLAIN, 0, 0x6f, (uint8_t) ((d->reg & 7) << 3 | 6), -1);
                } else {
                        invalid(d);
                }
                break;
        case 0xd7:
                extract_word(d, op, -1);
                break;
        case 0xe6:
                if (d->prefix == 0)
                        invalid(d);
                else
                        sse(d, 0, op, d->prefix == 2 ? 3 : 4, -1);
                break;
        case 0xf0:
                if (d->prefix == 3 && is_mem(d))
                        set(d, op_movx_load); /* LDDQU */
                else
                        invalid(d);
                break;
        case 0xf7:
                if (!is_mem(d) && d->prefix == 1) {
                        d->u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
                        set(d, op_maskmovdqu);
                } else {
                        invalid(d);
                }
                break;
        default:
                sse_or_mmx(d, 0, op, -1);
                break;
        }
}

static void map0f38(Decoder *d) {
        static const uint8_t extend_sizes[6] = {3, 2, 1, 3, 2, 3};
        uint8_t op = byte(d);

        modrm(d);
        if (op == 0xf0 || op == 0xf1) {
                if (d->rep == 0xf2) { /* CRC32 */
                        d->u->size = (uint8_t) (op == 0xf0 ? 0 : d->osize);
                        d->u->reg = d->reg;
                        d->u->rm = sized_reg(d, d->rm, d->u->size);
                        choose(d, op_crc32_r, op_crc32_m);
                } else {
                        operands(d, d->osize);
                        only_mem(d, op == 0xf0 ? movbe_rm[d->osize] : movbe_mr[d->osize]);
                }
                return;
        }
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->rex = 0;
        switch (op) {
        case 0x00 ... 0x0b:
        case 0x1c ... 0x1e:
                sse_or_mmx(d, 2, op, -1);
                return;
        }
        if (d->prefix != 1) {
                invalid(d);
                return;
        }
        switch (op) {
        case 0x10:
        case 0x14:
        case 0x15:
                d->u->size = 4;
                choose(d, op_sse_blendv_rr, op_sse_blendv_rm);
                thunk(d, THUNK_XMM_BLENDV, 2, op, 0x0e, -1); /* xmm1, (%rsi) */
                break;
        case 0x17:
                d->u->size = 4;
                choose(d, op_sse_flags_rr, op_sse_flags_rm);
                thunk(d, THUNK_XMM_FLAGS, 2, op, M_RSI, -1);
                break;
        case 0x20 ... 0x25:
        case 0x30 ... 0x35:
                sse(d, 2, op, extend_sizes[op & 7], -1);
                break;
        case 0x2a:
                only_mem(d, op_movx_load_aligned);
                break;
        case 0x28:
        case 0x29:
        case 0x2b:
        case 0x37 ... 0x41:
                sse(d, 2, op, 4, -1);
                break;
        case 0xdb ... 0xdf:
                sse(d, 2, op, 4, -1);
                break;
        default:
                invalid(d);
                break;
        }
}

static void map0f3a(Decoder *d) {
        uint8_t op = byte(d);
        int imm;

        modrm(d);
        imm = byte(d);
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        if (op == 0x0f && d->prefix < 2) {
                d->rex = 0;
                sse_or_mmx(d, 3, op, imm);
                return;
        }
        if (d->prefix != 1) {
                invalid(d);
                return;
        }
        switch (op) {
        case 0x14 ... 0x17:
                d->u->size = (uint8_t) (op == 0x14   ? 0
                                        : op == 0x15 ? 1
                                        : op == 0x17 ? 2
                                        : d->rex & 8 ? 3
                                                     : 2);
                choose(d, op_sse_extract_r, op_sse_extract_m);
                thunk(d, THUNK_XMM, 3, op, M_RSI, imm);
                break;
        case 0x20:
        case 0x22:
                d->u->size = (uint8_t) (op == 0x20 ? 0 : d->rex & 8 ? 3 : 2);
                choose(d, op_sse_insert_r, op_sse_insert_m);
                thunk(d, THUNK_XMM, 3, op, M_RSI, imm);
                break;
        case 0x21:
                d->rex = 0;
                if (is_mem(d)) {
                        sse(d, 3, op, 2, imm);
                } else {
                        /* The register form selects a source element, which the memory form cannot. */
                        uint8_t src = (uint8_t) (imm >> 6 & 3);

                        d->u->op = src;
                        sse(d, 3, op, 4, imm);
                        thunk(d, THUNK_XMM, 3, op, M_RSI, imm & 0x3f);
                        set(d, op_invalid);
                        d->end = true;
                }
                break;
        case 0x0a:
                d->rex = 0;
                sse(d, 3, op, 2, imm);
                break;
        case 0x0b:
                d->rex = 0;
                sse(d, 3, op, 3, imm);
                break;
        case 0x08:
        case 0x09:
        case 0x0c ... 0x0e:
        case 0x40 ... 0x42:
        case 0x44:
        case 0xdf:
                d->rex = 0;
                sse(d, 3, op, 4, imm);
                break;
        case 0x60 ... 0x63:
                d->u->size = 4;
                d->u->op =
                        (uint8_t) (1 |
                                   (op == 0x60 || op == 0x62 ? 2 : 0)); /* unaligned is allowed */
                choose(d, op_sse_string_rr, op_sse_string_rm);
                thunk(d, THUNK_XMM_STRING, 3, op, 0x0e, imm);
                break;
        default:
                invalid(d);
                break;
        }
}

/* ---- 0F: system groups ---- */

static void group6(Decoder *d) {
        static const UopFn regs[8] = {op_sldt_r, op_str_r,  op_lldt_r,  op_ltr_r,
                                      op_verr_r, op_verw_r, op_invalid, op_invalid};
        static const UopFn mems[8] = {op_sldt_m, op_str_m,  op_lldt_m,  op_ltr_m,
                                      op_verr_m, op_verw_m, op_invalid, op_invalid};

        modrm(d);
        operands(d, d->osize);
        choose(d, regs[d->reg & 7], mems[d->reg & 7]);
}

static void group7(Decoder *d) {
        modrm(d);
        operands(d, d->osize);
        if (is_mem(d)) {
                static const UopFn mems[8] = {op_sgdt,   op_sidt,    op_lgdt,   op_lidt,
                                              op_smsw_m, op_invalid, op_lmsw_m, op_invlpg};

                if ((d->reg & 7) == 6 || (d->reg & 7) == 7)
                        end(d, mems[d->reg & 7]);
                else
                        set(d, mems[d->reg & 7]);
                return;
        }
        switch (d->reg << 3 | (d->rm & 7)) {
        case 0 << 3 | 1: /* VMCALL */
        case 3 << 3 | 1: /* VMMCALL */
                set(d, op_vmcall);
                break;
        case 7 << 3 | 0:
                if (is64(d))
                        set(d, op_swapgs);
                else
                        invalid(d);
                break;
        case 7 << 3 | 1:
                set(d, op_rdtscp);
                break;
        case 5 << 3 | 0:
                if (d->rep == 0 && !d->opsize)
                        end(d, op_serialize);
                else
                        invalid(d);
                break;
        default:
                if ((d->reg & 7) == 4)
                        set(d, op_smsw_r);
                else if ((d->reg & 7) == 6)
                        end(d, op_lmsw_r);
                else
                        invalid(d);
                break;
        }
}

static void group15(Decoder *d) {
        modrm(d);
        operands(d, d->rex & 8 ? 3 : 2);
        if (is_mem(d)) {
                switch (d->reg & 7) {
                case 0:
                        set(d, op_fxsave);
                        break;
                case 1:
                        set(d, op_fxrstor);
                        break;
                case 2:
                        set(d, op_ldmxcsr);
                        break;
                case 3:
                        set(d, op_stmxcsr);
                        break;
                case 7:
                        set(d, op_nop); /* CLFLUSH */
                        break;
                default:
                        invalid(d);
                        break;
                }
                return;
        }
        if (d->rep == 0xf3) {
                static const UopFn bases[4] = {op_rdfsbase, op_rdgsbase, op_wrfsbase, op_wrgsbase};

                if ((d->reg & 7) < 4)
                        set(d, bases[d->reg & 7]);
                else
                        invalid(d);
        } else if ((d->reg & 7) >= 5) {
                set(d, op_fence);
        } else {
                invalid(d);
        }
}

static void group9(Decoder *d) {
        modrm(d);
        operands(d, d->osize);
        if (is_mem(d) && (d->reg & 7) == 1) {
                set(d, d->rex & 8 ? op_cmpxchg16b : op_cmpxchg8b);
                d->lock = false;
        } else if (!is_mem(d) && (d->reg & 7) == 6) {
                set(d, op_rdrand);
        } else {
                invalid(d);
        }
}

static void bits(Decoder *d, unsigned kind, bool imm) {
        unsigned size = d->osize;

        operands(d, size);
        if (imm) {
                d->u->imm = byte(d) & (size == 1 ? 15u : size == 2 ? 31u : 63u);
                if (kind == 0)
                        choose(d, bt_ri[0][size], bt_mi[0][size]);
                else
                        choose_lock(d, bt_ri[kind][size], bt_mi[kind][size],
                                    bt_mi_lock[kind][size]);
        } else if (kind == 0) {
                choose(d, bt_rr[0][size], bt_mr[0][size]);
        } else {
                choose_lock(d, bt_rr[kind][size], bt_mr[kind][size], bt_mr_lock[kind][size]);
        }
}

static void far_pointer(Decoder *d, unsigned seg) {
        modrm(d);
        operands(d, d->osize);
        d->u->op = (uint8_t) seg;
        if (is_mem(d))
                end(d, op_load_far_pointer);
        else
                invalid(d);
}

static void extend(Decoder *d, const UopFn rr[][4], const UopFn rm[][4], unsigned source) {
        modrm(d);
        d->u->size = (uint8_t) d->osize;
        d->u->reg = d->reg;
        d->u->rm = sized_reg(d, d->rm, source);
        choose(d, rr[source][d->osize], rm[source][d->osize]);
}

static void map0f(Decoder *d) {
        uint8_t op = byte(d);

        d->prefix = d->rep == 0xf3 ? 2 : d->rep == 0xf2 ? 3 : d->opsize ? 1 : 0;
        switch (op) {
        case 0x00:
                group6(d);
                break;
        case 0x01:
                group7(d);
                break;
        case 0x02:
        case 0x03:
                modrm(d);
                operands(d, d->osize);
                if (op == 2)
                        choose(d, op_lar_r, op_lar_m);
                else
                        choose(d, op_lsl_r, op_lsl_m);
                break;
        case 0x05:
                end(d, op_syscall);
                break;
        case 0x06:
                set(d, op_clts);
                break;
        case 0x07:
                d->u->size = d->rex & 8 ? 3 : 2;
                end(d, op_sysret);
                break;
        case 0x08:
        case 0x09:
                set(d, op_wbinvd);
                break;
        case 0x0d:
        case 0x18 ... 0x1f: /* prefetches and NOPs, ENDBR among them */
                modrm(d);
                set(d, op_nop);
                break;
        case 0x20 ... 0x23: {
                static const UopFn moves[4] = {op_mov_from_cr, op_mov_from_dr, op_mov_to_cr,
                                               op_mov_to_dr};
                uint8_t m = byte(d);

                d->u->reg = (uint8_t) ((m >> 3 & 7) | (d->rex & 4 ? 8 : 0));
                d->u->rm = (uint8_t) ((m & 7) | (d->rex & 1 ? 8 : 0));
                if (op == 0x20 && d->lock) /* an old way to name CR8 */
                        d->lock = false, d->u->reg = 8;
                set(d, moves[op & 3]);
                d->end = op == 0x22;
                break;
        }
        case 0x30:
                end(d, op_wrmsr);
                break;
        case 0x31:
                set(d, op_rdtsc);
                break;
        case 0x32:
                set(d, op_rdmsr);
                break;
        case 0x33:
                set(d, op_rdpmc);
                break;
        case 0x34:
                end(d, op_sysenter);
                break;
        case 0x35:
                d->u->size = d->rex & 8 ? 3 : 2;
                end(d, op_sysexit);
                break;
        case 0x38:
                map0f38(d);
                break;
        case 0x3a:
                map0f3a(d);
                break;
        case 0x40 ... 0x4f:
                modrm(d);
                operands(d, d->osize);
                d->u->op = op & 15;
                choose(d, cmov_rr[d->osize], cmov_rm[d->osize]);
                break;
        case 0x77:
                set(d, op_mmx_rr); /* EMMS */
                d->prefix = 0;
                {
                        static const uint8_t emms[2] = {0x0f, 0x77};

                        d->u->imm =
                                (uint64_t) (uintptr_t) thunk_get(d->thunks, THUNK_PLAIN, emms, 2);
                }
                break;
        case 0x80 ... 0x8f:
                d->u->size = (uint8_t) branch_osize(d);
                d->u->op = op & 15;
                d->u->imm = immediate_signed(d, d->u->size == 1 ? 2 : 4);
                end(d, op_jcc);
                break;
        case 0x90 ... 0x9f:
                modrm(d);
                operands(d, 0);
                d->u->op = op & 15;
                choose(d, op_setcc_r, op_setcc_m);
                break;
        case 0xa0:
        case 0xa8:
                d->u->size = (uint8_t) stack_osize(d);
                d->u->reg = op == 0xa0 ? SEG_FS : SEG_GS;
                set(d, op_push_seg);
                break;
        case 0xa1:
        case 0xa9:
                d->u->size = (uint8_t) stack_osize(d);
                d->u->reg = op == 0xa1 ? SEG_FS : SEG_GS;
                end(d, op_pop_seg);
                break;
        case 0xa2:
                set(d, op_cpuid);
                break;
        case 0xa3:
        case 0xab:
        case 0xb3:
        case 0xbb:
                modrm(d);
                bits(d, op >> 3 & 3, false);
                break;
        case 0xa4:
        case 0xa5:
        case 0xac:
        case 0xad: {
                unsigned right = op >= 0xac;

                modrm(d);
                operands(d, d->osize);
                d->u->imm = op & 1 ? 0x100 : byte(d);
                choose(d, shld_rr[right][d->osize], shld_mr[right][d->osize]);
                break;
        }
        case 0xae:
                group15(d);
                break;
        case 0xaf:
                modrm(d);
                operands(d, d->osize);
                choose(d, imul_rr[d->osize], imul_rm[d->osize]);
                break;
        case 0xb0:
        case 0xb1: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                choose_lock(d, cmpxchg_rr[size], cmpxchg_mr[size], cmpxchg_mr_lock[size]);
                break;
        }
        case 0xb2:
                far_pointer(d, SEG_SS);
                break;
        case 0xb4:
                far_pointer(d, SEG_FS);
                break;
        case 0xb5:
                far_pointer(d, SEG_GS);
                break;
        case 0xb6:
        case 0xb7:
                extend(d, movzx_rr, movzx_rm, op & 1);
                break;
        case 0xb8:
                modrm(d);
                operands(d, d->osize);
                d->u->op = 1;
                if (d->rep == 0xf3)
                        choose(d, scan_rr[SCAN_POPCNT][d->osize], scan_rm[SCAN_POPCNT][d->osize]);
                else
                        invalid(d);
                break;
        case 0xba:
                modrm(d);
                if ((d->reg & 7) < 4)
                        invalid(d);
                else
                        bits(d, d->reg & 3, true);
                break;
        case 0xbc:
        case 0xbd: /* without BMI1 and LZCNT the F3 prefix is ignored */
                modrm(d);
                operands(d, d->osize);
                choose(d, scan_rr[op & 1][d->osize], scan_rm[op & 1][d->osize]);
                break;
        case 0xbe:
        case 0xbf:
                extend(d, movsx_rr, movsx_rm, op & 1);
                break;
        case 0xc0:
        case 0xc1: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                choose_lock(d, xadd_rr[size], xadd_mr[size], xadd_mr_lock[size]);
                break;
        }
        case 0xc3:
                modrm(d);
                operands(d, d->rex & 8 ? 3 : 2);
                only_mem(d, op_movnti);
                break;
        case 0xc7:
                group9(d);
                break;
        case 0xc8 ... 0xcf:
                d->u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                set(d, bswap_r[d->osize]);
                break;
        case 0x10 ... 0x17:
        case 0x28 ... 0x2f:
        case 0x50 ... 0x76:
        case 0x7c ... 0x7f:
        case 0xc2:
        case 0xc4 ... 0xc6:
        case 0xd0 ... 0xfe:
                vector0f(d, op);
                break;
        default:
                invalid(d);
                break;
        }
}

/* ---- one-byte opcodes ---- */

static void relative(Decoder *d, UopFn fn, unsigned bytes) {
        d->u->imm = immediate_signed(d, bytes);
        end(d, fn);
}

static void one_byte(Decoder *d, uint8_t op) {
        Uop *u = d->u;

        if (op < 0x40 && (op & 7) < 6) {
                alu(d, op);
                return;
        }
        switch (op) {
        case 0x0f:
                map0f(d);
                break;
        case 0x06:
        case 0x0e:
        case 0x16:
        case 0x1e:
                u->size = (uint8_t) d->osize;
                u->reg = op >> 3;
                if (is64(d))
                        invalid(d);
                else
                        set(d, op_push_seg);
                break;
        case 0x07:
        case 0x17:
        case 0x1f:
                u->size = (uint8_t) d->osize;
                u->reg = op >> 3;
                if (is64(d))
                        invalid(d);
                else
                        end(d, op_pop_seg);
                break;
        case 0x27:
        case 0x2f:
        case 0x37:
        case 0x3f:
                u->op = op;
                if (is64(d))
                        invalid(d);
                else
                        set(d, op_daa);
                break;
        case 0x40 ... 0x4f: /* REX was eaten in 64-bit mode */
                u->rm = op & 7;
                set(d, unary_r[op & 8 ? UNARY_DEC : UNARY_INC][d->osize]);
                break;
        case 0x50 ... 0x57:
                u->size = (uint8_t) stack_osize(d);
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                set(d, u->size == 3 ? op_push_r64 : op_push_r);
                break;
        case 0x58 ... 0x5f:
                u->size = (uint8_t) stack_osize(d);
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                set(d, u->size == 3 ? op_pop_r64 : op_pop_r);
                break;
        case 0x60:
        case 0x61:
                u->size = (uint8_t) d->osize;
                if (is64(d))
                        invalid(d);
                else
                        set(d, op == 0x60 ? op_pusha : op_popa);
                break;
        case 0x62:
                if (is64(d)) {
                        invalid(d);
                        break;
                }
                modrm(d);
                operands(d, d->osize);
                only_mem(d, op_bound);
                break;
        case 0x63:
                modrm(d);
                if (is64(d)) {
                        operands(d, d->osize);
                        if (d->osize == 3)
                                choose(d, movsx_rr[2][3], movsx_rm[2][3]);
                        else
                                choose(d, mov_rr[d->osize], mov_rm[d->osize]);
                } else {
                        operands(d, 1);
                        choose(d, op_arpl_r, op_arpl_m);
                }
                break;
        case 0x68:
                u->size = (uint8_t) stack_osize(d);
                u->imm = immediate_signed(d, d->opsize ^ (d->mode == MODE_16) ? 2 : 4);
                set(d, op_push_i);
                break;
        case 0x6a:
                u->size = (uint8_t) stack_osize(d);
                u->imm = immediate_signed(d, 1);
                set(d, op_push_i);
                break;
        case 0x69:
        case 0x6b:
                modrm(d);
                operands(d, d->osize);
                u->imm = op == 0x69 ? immediate_osize(d, d->osize) : immediate_signed(d, 1);
                choose(d, imul_rri[d->osize], imul_rmi[d->osize]);
                break;
        case 0x6c:
        case 0x6d:
                string(d, STRING_INS, op & 1 ? MIN(d->osize, 2u) : 0);
                break;
        case 0x6e:
        case 0x6f:
                string(d, STRING_OUTS, op & 1 ? MIN(d->osize, 2u) : 0);
                break;
        case 0x70 ... 0x7f:
                u->size = (uint8_t) branch_osize(d);
                u->op = op & 15;
                relative(d, op_jcc, 1);
                break;
        case 0x80:
        case 0x81:
        case 0x83:
                group1(d, op);
                break;
        case 0x82:
                if (is64(d))
                        invalid(d);
                else
                        group1(d, op);
                break;
        case 0x84:
        case 0x85: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                choose(d, test_rr[size], test_mr[size]);
                break;
        }
        case 0x86:
        case 0x87: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                choose_lock(d, xchg_rr[size], xchg_mr[size], xchg_mr[size]);
                break;
        }
        case 0x88:
        case 0x89: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                if (!is_mem(d)) {
                        uint8_t t = u->reg;

                        u->reg = u->rm;
                        u->rm = t;
                }
                choose(d, mov_rr[size], mov_mr[size]);
                break;
        }
        case 0x8a:
        case 0x8b: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                choose(d, mov_rr[size], mov_rm[size]);
                break;
        }
        case 0x8c:
                modrm(d);
                operands(d, d->osize);
                u->reg = d->reg & 7;
                if (u->reg > SEG_GS)
                        invalid(d);
                else
                        choose(d, op_mov_from_seg_r, op_mov_from_seg_m);
                break;
        case 0x8d:
                modrm(d);
                operands(d, d->osize);
                only_mem(d, op_lea);
                break;
        case 0x8e:
                modrm(d);
                operands(d, d->osize);
                u->reg = d->reg & 7;
                if (u->reg > SEG_GS || u->reg == SEG_CS)
                        invalid(d);
                else
                        end(d, is_mem(d) ? op_mov_to_seg_m : op_mov_to_seg_r);
                break;
        case 0x8f:
                modrm(d);
                operands(d, stack_osize(d));
                if (d->reg & 7)
                        invalid(d);
                else
                        choose(d, u->size == 3 ? op_pop_r64 : op_pop_r, op_pop_m);
                break;
        case 0x90:
                if (!(d->rex & 1)) {
                        set(d, d->rep == 0xf3 ? op_pause : op_nop);
                        break;
                }
                __attribute__((fallthrough));
        case 0x91 ... 0x97:
                u->reg = 0;
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                set(d, xchg_rr[d->osize]);
                break;
        case 0x98:
                u->size = (uint8_t) d->osize;
                set(d, op_convert_a);
                break;
        case 0x99:
                u->size = (uint8_t) d->osize;
                set(d, op_convert_d);
                break;
        case 0x9a:
                far_immediate(d, op_far_call_i);
                break;
        case 0x9b:
                set(d, op_x87_fwait);
                break;
        case 0x9c:
                u->size = (uint8_t) stack_osize(d);
                set(d, op_pushf);
                break;
        case 0x9d:
                u->size = (uint8_t) stack_osize(d);
                set(d, op_popf);
                break;
        case 0x9e:
                set(d, op_sahf);
                break;
        case 0x9f:
                set(d, op_lahf);
                break;
        case 0xa0 ... 0xa3:
                moffs(d, op);
                break;
        case 0xa4:
        case 0xa5:
                string(d, STRING_MOVS, op & 1 ? d->osize : 0);
                break;
        case 0xa6:
        case 0xa7:
                string(d, STRING_CMPS, op & 1 ? d->osize : 0);
                break;
        case 0xa8:
        case 0xa9: {
                unsigned size = op & 1 ? d->osize : 0;

                u->rm = 0;
                u->imm = immediate_osize(d, size);
                set(d, test_ri[size]);
                break;
        }
        case 0xaa:
        case 0xab:
                string(d, STRING_STOS, op & 1 ? d->osize : 0);
                break;
        case 0xac:
        case 0xad:
                string(d, STRING_LODS, op & 1 ? d->osize : 0);
                break;
        case 0xae:
        case 0xaf:
                string(d, STRING_SCAS, op & 1 ? d->osize : 0);
                break;
        case 0xb0 ... 0xb7:
                u->rm = byte_reg(d, (op & 7u) | (d->rex & 1 ? 8u : 0));
                u->imm = byte(d);
                set(d, mov_ri[0]);
                break;
        case 0xb8 ... 0xbf:
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                u->imm = immediate(d, d->osize == 3 ? 8 : d->osize == 2 ? 4 : 2);
                set(d, mov_ri[d->osize]);
                break;
        case 0xc0:
        case 0xc1:
        case 0xd0 ... 0xd3:
                shift(d, op);
                break;
        case 0xc2:
        case 0xc3:
                u->size = (uint8_t) branch_osize(d);
                u->imm = op == 0xc2 ? immediate(d, 2) : 0;
                end(d, op_ret);
                break;
        case 0xc4:
        case 0xc5:
                if (is64(d))
                        invalid(d);
                else
                        far_pointer(d, op == 0xc4 ? SEG_ES : SEG_DS);
                break;
        case 0xc6:
        case 0xc7: {
                unsigned size = op & 1 ? d->osize : 0;

                modrm(d);
                operands(d, size);
                u->imm = immediate_osize(d, size);
                if (d->reg & 7)
                        invalid(d);
                else
                        choose(d, mov_ri[size], mov_mi[size]);
                break;
        }
        case 0xc8: {
                uint64_t bytes = immediate(d, 2), level = byte(d);

                u->imm = bytes | level << 16;
                u->size = (uint8_t) stack_osize(d);
                set(d, op_enter);
                break;
        }
        case 0xc9:
                u->size = (uint8_t) stack_osize(d);
                set(d, op_leave);
                break;
        case 0xca:
        case 0xcb:
                u->imm = op == 0xca ? immediate(d, 2) : 0;
                u->size = (uint8_t) d->osize;
                end(d, op_far_ret);
                break;
        case 0xcc:
                end(d, op_int3);
                break;
        case 0xcd:
                u->imm = byte(d);
                end(d, op_int_n);
                break;
        case 0xce:
                if (is64(d))
                        invalid(d);
                else
                        end(d, op_into);
                break;
        case 0xcf:
                u->size = (uint8_t) d->osize;
                end(d, op_iret);
                break;
        case 0xd4:
        case 0xd5:
                u->imm = byte(d);
                if (is64(d))
                        invalid(d);
                else
                        set(d, op == 0xd4 ? op_aam : op_aad);
                break;
        case 0xd6:
                if (is64(d))
                        invalid(d);
                else
                        set(d, op_salc);
                break;
        case 0xd7:
                u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
                set(d, op_xlat);
                break;
        case 0xd8 ... 0xdf:
                x87(d, op);
                break;
        case 0xe0 ... 0xe2:
                u->size = (uint8_t) branch_osize(d);
                u->op = op & 3;
                relative(d, op_loop_rel, 1);
                break;
        case 0xe3:
                u->size = (uint8_t) branch_osize(d);
                relative(d, op_jcxz_rel, 1);
                break;
        case 0xe4 ... 0xe7:
        case 0xec ... 0xef:
                port(d, op);
                break;
        case 0xe8:
        case 0xe9:
                u->size = (uint8_t) branch_osize(d);
                relative(d, op == 0xe8 ? op_call_rel : op_jmp_rel, u->size == 1 ? 2 : 4);
                break;
        case 0xea:
                far_immediate(d, op_far_jmp_i);
                break;
        case 0xeb:
                u->size = (uint8_t) branch_osize(d);
                relative(d, op_jmp_rel, 1);
                break;
        case 0xf1:
                end(d, op_icebp);
                break;
        case 0xf4:
                end(d, op_hlt);
                break;
        case 0xf5:
                set(d, op_cmc);
                break;
        case 0xf6:
        case 0xf7:
                group3(d, op);
                break;
        case 0xf8:
                set(d, op_clc);
                break;
        case 0xf9:
                set(d, op_stc);
                break;
        case 0xfa:
                set(d, op_cli);
                break;
        case 0xfb:
                end(d, op_sti);
                break;
        case 0xfc:
                set(d, op_cld);
                break;
        case 0xfd:
                set(d, op_std);
                break;
        case 0xfe:
        case 0xff:
                group45(d, op);
                break;
        default:
                invalid(d);
                break;
        }
}

static uint8_t prefixes(Decoder *d) {
        for (;;) {
                uint8_t b = byte(d);

                if (d->truncated)
                        return 0;
                switch (b) {
                case 0x26:
                case 0x2e:
                case 0x36:
                case 0x3e:
                        if (!is64(d))
                                d->seg = b >> 3 & 3;
                        break;
                case 0x64:
                        d->seg = SEG_FS;
                        break;
                case 0x65:
                        d->seg = SEG_GS;
                        break;
                case 0x66:
                        d->opsize = true;
                        break;
                case 0x67:
                        d->addrsize_prefix = true;
                        break;
                case 0xf0:
                        d->lock = true;
                        break;
                case 0xf2:
                case 0xf3:
                        d->rep = b;
                        break;
                default:
                        if (is64(d) && (b & 0xf0) == 0x40) {
                                d->rex = b & 15;
                                d->has_rex = true;
                                b = byte(d); /* REX counts only right before the opcode */
                                if (d->truncated)
                                        return 0;
                                switch (b) {
                                case 0x26:
                                case 0x2e:
                                case 0x36:
                                case 0x3e:
                                case 0x64:
                                case 0x65:
                                case 0x66:
                                case 0x67:
                                case 0xf0:
                                case 0xf2:
                                case 0xf3:
                                case 0x40 ... 0x4f:
                                        d->rex = 0;
                                        d->has_rex = false;
                                        d->pos--;
                                        continue;
                                default:
                                        break;
                                }
                        }
                        return b;
                }
        }
}

static bool one(Decoder *d) {
        bool is32 = d->mode == MODE_32;
        uint8_t op;

        *d->u = (Uop){.base = REG_ZERO, .index = REG_ZERO};
        op = prefixes(d);
        if (is64(d)) {
                d->osize = d->rex & 8 ? 3 : d->opsize ? 1 : 2;
                d->asize = d->addrsize_prefix ? 2 : 3;
        } else {
                d->osize = d->opsize != is32 ? 2 : 1;
                d->asize = d->addrsize_prefix != is32 ? 2 : 1;
        }
        if (!d->truncated)
                one_byte(d, op);
        if (d->truncated)
                return false;
        if (d->lock)
                invalid(d);
        return true;
}

/* Flat addresses take the short way. */
static void finish_address(const Decoder *d, Uop *u) {
        bool plain = d->mode == MODE_64 && d->asize == 3 && u->seg != SEG_FS && u->seg != SEG_GS;

        u->ea = (uint8_t) ((plain ? EA_PLAIN : EA_SEGMENT) | d->asize << 4);
}

unsigned decode_block(ThunkCache *thunks, const uint8_t *code, unsigned avail, unsigned mode,
                      unsigned max, Uop *uops, unsigned *ret_bytes) {
        unsigned n = 0, at = 0;
        bool ended = false;

        while (n < max && !ended && at < avail) {
                Decoder d = {.thunks = thunks,
                             .code = code + at,
                             .avail = MIN(avail - at, INSTRUCTION_MAX),
                             .mode = mode & MODE_CODE,
                             .seg = -1,
                             .u = &uops[n]};

                d.mod = 3;
                if (!one(&d)) {
                        if (d.pos < INSTRUCTION_MAX)
                                break; /* goes on behind what we were given */
                        uops[n] = (Uop){.fn = op_invalid, .base = REG_ZERO, .index = REG_ZERO};
                        d.end = true;
                }
                uops[n].ip = (uint16_t) at;
                uops[n].len = (uint8_t) d.pos;
                finish_address(&d, &uops[n]);
                at += d.pos;
                if (rip_relative(&d))
                        uops[n].disp += (int32_t) at;
                ended = d.end;
                n++;
        }
        *ret_bytes = at;
        return n;
}
