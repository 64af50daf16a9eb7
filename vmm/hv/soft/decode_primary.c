/* SPDX-License-Identifier: Apache-2.0 */
/* The one-byte opcode map (SDM volume 2 table A-2). */
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/decode_internal.h"
#include "vmm/hv/soft/handlers.h"

static void alu(Decoder *d, uint8_t op) {
        unsigned kind = op >> 3 & 7, form = op & 7, size = form & 1 ? d->osize : 0;

        if (form < 4) {
                decode_modrm(d);
                decode_operands(d, size);
                if (form < 2) {
                        if (kind == ALU_CMP && d->lock) {
                                decode_invalid(d);
                        } else if (decode_is_mem(d)) {
                                decode_choose_lock(d, NULL, alu_mr[kind][size],
                                                   alu_mr_lock[kind][size]);
                        } else {
                                uint8_t t =
                                        d->u->reg; /* the destination is rm: swap for the rr form */

                                d->u->reg = d->u->rm;
                                d->u->rm = t;
                                decode_choose_lock(d, alu_rr[kind][size], NULL, NULL);
                        }
                } else {
                        decode_choose(d, alu_rr[kind][size], alu_rm[kind][size]);
                }
                return;
        }
        d->u->rm = 0; /* AL.. RAX */
        d->u->size = (uint8_t) size;
        d->u->imm = decode_immediate_osize(d, size);
        decode_set(d, alu_ri[kind][size]);
}

static void group1(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0, kind;

        decode_modrm(d);
        kind = d->reg & 7;
        decode_operands(d, size);
        d->u->imm = op == 0x81 ? decode_immediate_osize(d, size) : decode_immediate_signed(d, 1);
        if (kind == ALU_CMP && d->lock)
                decode_invalid(d);
        else
                decode_choose_lock(d, alu_ri[kind][size], alu_mi[kind][size],
                                   alu_mi_lock[kind][size]);
}

static void shift(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0, kind;

        decode_modrm(d);
        kind = d->reg & 7;
        decode_operands(d, size);
        if (op >= 0xd2) {
                decode_choose(d, shift_rc[kind][size], shift_mc[kind][size]);
                return;
        }
        d->u->imm = op >= 0xd0 ? 1 : decode_byte(d);
        decode_choose(d, shift_ri[kind][size], shift_mi[kind][size]);
}

static void group3(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0;

        decode_modrm(d);
        decode_operands(d, size);
        switch (d->reg & 7) {
        case 0:
        case 1:
                d->u->imm = decode_immediate_osize(d, size);
                decode_choose(d, test_ri[size], test_mi[size]);
                break;
        case 2:
        case 3: {
                unsigned kind = (d->reg & 7) == 2 ? UNARY_NOT : UNARY_NEG;

                decode_choose_lock(d, unary_r[kind][size], unary_m[kind][size],
                                   unary_m_lock[kind][size]);
                break;
        }
        case 4:
                decode_choose(d, mul_r[size], mul_m[size]);
                break;
        case 5:
                decode_choose(d, imul1_r[size], imul1_m[size]);
                break;
        case 6:
                decode_choose(d, div_r[size], div_m[size]);
                break;
        default:
                decode_choose(d, idiv_r[size], idiv_m[size]);
                break;
        }
}

static void group45(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0, kind;

        decode_modrm(d);
        kind = d->reg & 7;
        if (kind < 2) {
                decode_operands(d, size);
                kind = kind ? UNARY_DEC : UNARY_INC;
                decode_choose_lock(d, unary_r[kind][size], unary_m[kind][size],
                                   unary_m_lock[kind][size]);
                return;
        }
        if (op == 0xfe) {
                decode_invalid(d);
                return;
        }
        switch (kind) {
        case 2:
                decode_operands(d, decode_branch_osize(d));
                decode_end(d, decode_is_mem(d) ? op_call_m : op_call_r);
                break;
        case 4:
                decode_operands(d, decode_branch_osize(d));
                decode_end(d, decode_is_mem(d) ? op_jmp_m : op_jmp_r);
                break;
        case 3:
        case 5:
                decode_operands(d, d->osize);
                if (decode_is_mem(d))
                        decode_end(d, kind == 3 ? op_far_call_m : op_far_jmp_m);
                else
                        decode_invalid(d);
                break;
        case 6:
                decode_operands(d, decode_stack_osize(d));
                decode_choose(d, d->u->size == 3 ? op_push_r64 : op_push_r, op_push_m);
                break;
        default:
                decode_invalid(d);
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
        decode_set(d, string_ops[kind][size]);
}

static void far_immediate(Decoder *d, UopFn fn) {
        uint64_t offset, selector;

        offset = decode_immediate(d, d->osize == 1 ? 2 : 4);
        selector = decode_immediate(d, 2);
        if (decode_is64(d)) { /* known only once all its bytes could be fetched */
                decode_invalid(d);
                return;
        }
        d->u->imm = selector << 32 | offset;
        d->u->size = (uint8_t) d->osize;
        decode_end(d, fn);
}

static void port(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? MIN(d->osize, 2u) : 0;

        d->u->size = (uint8_t) size;
        d->u->op = op >= 0xec;
        if (!d->u->op)
                d->u->imm = decode_byte(d);
        decode_set(d, op & 2 ? op_out_i : op_in_i);
}

static void moffs(Decoder *d, uint8_t op) {
        unsigned size = op & 1 ? d->osize : 0;
        uint64_t at = decode_immediate(d, d->asize == 3 ? 8 : d->asize == 2 ? 4 : 2);
        Uop *u = d->u;

        u->size = (uint8_t) size;
        u->reg = 0;
        u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
        u->base = REG_ZERO;
        u->index = REG_ZERO;
        u->disp = (int32_t) at;
        if ((uint64_t) (int64_t) u->disp != at && d->asize == 3) {
                u->imm = at; /* too wide for the displacement */
                decode_set(d, op & 2 ? op_moffs_store : op_moffs_load);
                return;
        }
        decode_set(d, op & 2 ? mov_mr[size] : mov_rm[size]);
}

static void relative(Decoder *d, UopFn fn, unsigned bytes) {
        d->u->imm = decode_immediate_signed(d, bytes);
        decode_end(d, fn);
}

static void primary_00_6f(Decoder *d, uint8_t op) {
        Uop *u = d->u;

        switch (op) {
        case 0x0f:
                decode_map_0f(d);
                break;
        case 0x06:
        case 0x0e:
        case 0x16:
        case 0x1e:
                u->size = (uint8_t) d->osize;
                u->reg = op >> 3;
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_set(d, op_push_seg);
                break;
        case 0x07:
        case 0x17:
        case 0x1f:
                u->size = (uint8_t) d->osize;
                u->reg = op >> 3;
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_end(d, op_pop_seg);
                break;
        case 0x27:
        case 0x2f:
        case 0x37:
        case 0x3f:
                u->op = op;
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_set(d, op_daa);
                break;
        case 0x40 ... 0x4f: /* REX was eaten in 64-bit mode */
                u->rm = op & 7;
                decode_set(d, unary_r[op & 8 ? UNARY_DEC : UNARY_INC][d->osize]);
                break;
        case 0x50 ... 0x57:
                u->size = (uint8_t) decode_stack_osize(d);
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                decode_set(d, u->size == 3 ? op_push_r64 : op_push_r);
                break;
        case 0x58 ... 0x5f:
                u->size = (uint8_t) decode_stack_osize(d);
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                decode_set(d, u->size == 3 ? op_pop_r64 : op_pop_r);
                break;
        case 0x60:
        case 0x61:
                u->size = (uint8_t) d->osize;
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_set(d, op == 0x60 ? op_pusha : op_popa);
                break;
        case 0x62:
                if (decode_is64(d)) {
                        decode_invalid(d);
                        break;
                }
                decode_modrm(d);
                decode_operands(d, d->osize);
                decode_only_mem(d, op_bound);
                break;
        case 0x63:
                decode_modrm(d);
                if (decode_is64(d)) {
                        decode_operands(d, d->osize);
                        if (d->osize == 3)
                                decode_choose(d, movsx_rr[2][3], movsx_rm[2][3]);
                        else
                                decode_choose(d, mov_rr[d->osize], mov_rm[d->osize]);
                } else {
                        decode_operands(d, 1);
                        decode_choose(d, op_arpl_r, op_arpl_m);
                }
                break;
        case 0x68:
                u->size = (uint8_t) decode_stack_osize(d);
                u->imm = decode_immediate_osize(d, u->size);
                decode_set(d, op_push_i);
                break;
        case 0x6a:
                u->size = (uint8_t) decode_stack_osize(d);
                u->imm = decode_immediate_signed(d, 1);
                decode_set(d, op_push_i);
                break;
        case 0x69:
        case 0x6b:
                decode_modrm(d);
                decode_operands(d, d->osize);
                u->imm = op == 0x69 ? decode_immediate_osize(d, d->osize)
                                    : decode_immediate_signed(d, 1);
                decode_choose(d, imul_rri[d->osize], imul_rmi[d->osize]);
                break;
        case 0x6c:
        case 0x6d:
                string(d, STRING_INS, op & 1 ? MIN(d->osize, 2u) : 0);
                break;
        case 0x6e:
        case 0x6f:
                string(d, STRING_OUTS, op & 1 ? MIN(d->osize, 2u) : 0);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

static void primary_70_9f(Decoder *d, uint8_t op) {
        Uop *u = d->u;

        switch (op) {
        case 0x70 ... 0x7f:
                u->size = (uint8_t) decode_branch_osize(d);
                u->op = op & 15;
                relative(d, op_jcc, 1);
                break;
        case 0x80:
        case 0x81:
        case 0x83:
                group1(d, op);
                break;
        case 0x82:
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        group1(d, op);
                break;
        case 0x84:
        case 0x85: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                decode_choose(d, test_rr[size], test_mr[size]);
                break;
        }
        case 0x86:
        case 0x87: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                decode_choose_lock(d, xchg_rr[size], xchg_mr[size], xchg_mr[size]);
                break;
        }
        case 0x88:
        case 0x89: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                if (!decode_is_mem(d)) {
                        uint8_t t = u->reg;

                        u->reg = u->rm;
                        u->rm = t;
                }
                decode_choose(d, mov_rr[size], mov_mr[size]);
                break;
        }
        case 0x8a:
        case 0x8b: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                decode_choose(d, mov_rr[size], mov_rm[size]);
                break;
        }
        case 0x8c:
                decode_modrm(d);
                decode_operands(d, d->osize);
                u->reg = d->reg & 7;
                if (u->reg > SEG_GS)
                        decode_invalid(d);
                else
                        decode_choose(d, op_mov_from_seg_r, op_mov_from_seg_m);
                break;
        case 0x8d:
                decode_modrm(d);
                decode_operands(d, d->osize);
                decode_only_mem(d, op_lea);
                break;
        case 0x8e:
                decode_modrm(d);
                decode_operands(d, d->osize);
                u->reg = d->reg & 7;
                if (u->reg > SEG_GS || u->reg == SEG_CS)
                        decode_invalid(d);
                else
                        decode_end(d, decode_is_mem(d) ? op_mov_to_seg_m : op_mov_to_seg_r);
                break;
        case 0x8f:
                decode_modrm(d);
                decode_operands(d, decode_stack_osize(d));
                if (d->reg & 7)
                        decode_invalid(d);
                else
                        decode_choose(d, u->size == 3 ? op_pop_r64 : op_pop_r, op_pop_m);
                break;
        case 0x90:
                if (!(d->rex & 1)) {
                        decode_set(d, d->rep == 0xf3 ? op_pause : op_nop);
                        break;
                }
                __attribute__((fallthrough));
        case 0x91 ... 0x97:
                u->reg = 0;
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                decode_set(d, xchg_rr[d->osize]);
                break;
        case 0x98:
                u->size = (uint8_t) d->osize;
                decode_set(d, op_convert_a);
                break;
        case 0x99:
                u->size = (uint8_t) d->osize;
                decode_set(d, op_convert_d);
                break;
        case 0x9a:
                far_immediate(d, op_far_call_i);
                break;
        case 0x9b:
                decode_set(d, op_x87_fwait);
                break;
        case 0x9c:
                u->size = (uint8_t) decode_stack_osize(d);
                decode_set(d, op_pushf);
                break;
        case 0x9d:
                u->size = (uint8_t) decode_stack_osize(d);
                decode_set(d, op_popf);
                break;
        case 0x9e:
                decode_set(d, op_sahf);
                break;
        case 0x9f:
                decode_set(d, op_lahf);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

static void primary_a0_cf(Decoder *d, uint8_t op) {
        Uop *u = d->u;

        switch (op) {
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
                u->imm = decode_immediate_osize(d, size);
                decode_set(d, test_ri[size]);
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
                u->rm = decode_byte_reg(d, (op & 7u) | (d->rex & 1 ? 8u : 0));
                u->imm = decode_byte(d);
                decode_set(d, mov_ri[0]);
                break;
        case 0xb8 ... 0xbf:
                u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                u->imm = decode_immediate(d, d->osize == 3 ? 8 : d->osize == 2 ? 4 : 2);
                decode_set(d, mov_ri[d->osize]);
                break;
        case 0xc0:
        case 0xc1:
                shift(d, op);
                break;
        case 0xc2:
        case 0xc3:
                u->size = (uint8_t) decode_branch_osize(d);
                u->imm = op == 0xc2 ? decode_immediate(d, 2) : 0;
                decode_end(d, op_ret);
                break;
        case 0xc4:
        case 0xc5:
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_far_pointer(d, op == 0xc4 ? SEG_ES : SEG_DS);
                break;
        case 0xc6:
        case 0xc7: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                u->imm = decode_immediate_osize(d, size);
                if (d->reg & 7)
                        decode_invalid(d);
                else
                        decode_choose(d, mov_ri[size], mov_mi[size]);
                break;
        }
        case 0xc8: {
                uint64_t bytes = decode_immediate(d, 2), level = decode_byte(d);

                u->imm = bytes | level << 16;
                u->size = (uint8_t) decode_stack_osize(d);
                decode_set(d, op_enter);
                break;
        }
        case 0xc9:
                u->size = (uint8_t) decode_stack_osize(d);
                decode_set(d, op_leave);
                break;
        case 0xca:
        case 0xcb:
                u->imm = op == 0xca ? decode_immediate(d, 2) : 0;
                u->size = (uint8_t) d->osize;
                decode_end(d, op_far_ret);
                break;
        case 0xcc:
                decode_end(d, op_int3);
                break;
        case 0xcd:
                u->imm = decode_byte(d);
                decode_end(d, op_int_n);
                break;
        case 0xce:
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_end(d, op_into);
                break;
        case 0xcf:
                u->size = (uint8_t) d->osize;
                decode_end(d, op_iret);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

static void primary_d0_ff(Decoder *d, uint8_t op) {
        Uop *u = d->u;

        switch (op) {
        case 0xd0 ... 0xd3:
                shift(d, op);
                break;
        case 0xd4:
        case 0xd5:
                u->imm = decode_byte(d);
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_set(d, op == 0xd4 ? op_aam : op_aad);
                break;
        case 0xd6:
                if (decode_is64(d))
                        decode_invalid(d);
                else
                        decode_set(d, op_salc);
                break;
        case 0xd7:
                u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
                decode_set(d, op_xlat);
                break;
        case 0xd8 ... 0xdf:
                decode_x87(d, op);
                break;
        case 0xe0 ... 0xe2:
                u->size = (uint8_t) decode_branch_osize(d);
                u->op = op & 3;
                relative(d, op_loop_rel, 1);
                break;
        case 0xe3:
                u->size = (uint8_t) decode_branch_osize(d);
                relative(d, op_jcxz_rel, 1);
                break;
        case 0xe4 ... 0xe7:
        case 0xec ... 0xef:
                port(d, op);
                break;
        case 0xe8:
        case 0xe9:
                u->size = (uint8_t) decode_branch_osize(d);
                relative(d, op == 0xe8 ? op_call_rel : op_jmp_rel, u->size == 1 ? 2 : 4);
                break;
        case 0xea:
                far_immediate(d, op_far_jmp_i);
                break;
        case 0xeb:
                u->size = (uint8_t) decode_branch_osize(d);
                relative(d, op_jmp_rel, 1);
                break;
        case 0xf1:
                decode_end(d, op_icebp);
                break;
        case 0xf4:
                decode_end(d, op_hlt);
                break;
        case 0xf5:
                decode_set(d, op_cmc);
                break;
        case 0xf6:
        case 0xf7:
                group3(d, op);
                break;
        case 0xf8:
                decode_set(d, op_clc);
                break;
        case 0xf9:
                decode_set(d, op_stc);
                break;
        case 0xfa:
                decode_set(d, op_cli);
                break;
        case 0xfb:
                decode_end(d, op_sti);
                break;
        case 0xfc:
                decode_set(d, op_cld);
                break;
        case 0xfd:
                decode_set(d, op_std);
                break;
        case 0xfe:
        case 0xff:
                group45(d, op);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

/** decode_primary() - the one-byte opcode map (SDM volume 2 table A-2) */
void decode_primary(Decoder *d, uint8_t op) {
        if (op < 0x40 && (op & 7) < 6)
                alu(d, op);
        else if (op < 0x70)
                primary_00_6f(d, op);
        else if (op < 0xa0)
                primary_70_9f(d, op);
        else if (op < 0xd0)
                primary_a0_cf(d, op);
        else
                primary_d0_ff(d, op);
}
