/* SPDX-License-Identifier: Apache-2.0 */
/* MMX and SSE in the two-byte map: moves are handlers of our own, the rest runs on the host by thunks. */
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/decode_internal.h"
#include "vmm/hv/soft/decode_vector.h"
#include "vmm/hv/soft/handlers.h"

/* The instruction for a thunk: mandatory prefix, optional REX.W, map, opcode, ModRM, optional immediate. */
void decode_thunk(Decoder *d, ThunkKind kind, unsigned map, uint8_t op, uint8_t m, int imm) {
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
                decode_invalid(d);
}

/* xmm <- xmm op source of 1 << size bytes */
void decode_sse(Decoder *d, unsigned map, uint8_t op, unsigned size, int imm) {
        d->u->size = (uint8_t) size;
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        decode_choose(d, op_sse_rr, op_sse_rm);
        decode_thunk(d, THUNK_XMM, map, op, M_RSI, imm);
}

/** decode_mmx() - an instruction of map @map on MMX registers or memory, run by a thunk; @imm below 0: none */
void decode_mmx(Decoder *d, unsigned map, uint8_t op, int imm) {
        d->u->size = map == 0 && op >= 0x60 && op <= 0x62 ? 2 : 3; /* the low halves are unpacked */
        decode_choose(d, op_mmx_rr, op_mmx_rm);
        decode_thunk(d, THUNK_PLAIN, map, op,
                     (uint8_t) (decode_is_mem(d) ? (d->reg & 7) << 3 | 6
                                                 : 0xc0 | (d->reg & 7) << 3 | (d->rm & 7)),
                     imm);
}

/** decode_sse_or_mmx() - the same opcode is SSE with prefix 66, MMX without one, and nothing else */
void decode_sse_or_mmx(Decoder *d, unsigned map, uint8_t op, int imm) {
        if (d->prefix == 1)
                decode_sse(d, map, op, 4, imm);
        else if (d->prefix == 0)
                decode_mmx(d, map, op, imm);
        else
                decode_invalid(d);
}

static void vector_move(Decoder *d, UopFn rr, UopFn load, UopFn store, bool to_rm) {
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        if (decode_is_mem(d)) {
                decode_set(d, to_rm ? store : load);
                return;
        }
        if (to_rm) {
                d->u->reg = d->rm;
                d->u->rm = d->reg;
        }
        decode_set(d, rr);
}

static void half_move(Decoder *d, uint8_t op) {
        bool high = op & 4, store = op & 1;

        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = 3;
        d->u->op = high;
        if (d->prefix >= 2) { /* MOVSLDUP MOVDDUP MOVSHDUP */
                d->u->op = 0; /* the operand must be aligned */
                if (store || (op == 0x16 && d->prefix == 3))
                        decode_invalid(d);
                else
                        decode_sse(d, 0, op, d->prefix == 3 ? 3 : 4, -1);
        } else if (decode_is_mem(d)) {
                decode_set(d, store ? op_mov_half_store : op_mov_half_load);
        } else if (store || d->prefix) {
                decode_invalid(d);
        } else {
                decode_set(d, high ? op_movlhps : op_movhlps);
        }
}

static void gpr_to_vector(Decoder *d, uint8_t op) {
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = d->rex & 8 ? 3 : 2;
        if (d->prefix >= 2) { /* CVTSI2SS/SD */
                decode_choose(d, op_sse_from_gpr_r, op_sse_from_gpr_m);
                decode_thunk(d, THUNK_XMM, 0, op, M_RSI, -1);
        } else if (decode_is_mem(d)) {
                decode_sse(d, 0, op, 3, -1);
                if (d->prefix == 0)
                        decode_set(d, op_sse_from_mmx);
        } else { /* CVTPI2PS/PD from an MMX register */
                decode_set(d, op_sse_from_mmx);
                d->u->size = 0;
                decode_thunk(d, THUNK_XMM, 0, op, (uint8_t) (0xc0 | (d->rm & 7)), -1);
        }
}

static void vector_to_gpr(Decoder *d, uint8_t op) {
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        if (d->prefix >= 2) {
                d->u->size = d->prefix == 2 ? 2 : 3;
                decode_choose(d, op_sse_to_gpr_r, op_sse_to_gpr_m);
                decode_thunk(d, THUNK_PLAIN, 0, op, M_RSI, -1);
        } else { /* CVT(T)PS2PI, CVT(T)PD2PI to an MMX register */
                d->u->size = d->prefix == 1 ? 4 : 3;
                if (!decode_is_mem(d))
                        d->u->size = 5; /* the source is xmm rm */
                decode_set(d, op_sse_to_mmx);
                decode_thunk(d, THUNK_PLAIN, 0, op, (uint8_t) ((d->reg & 7) << 3 | 6), -1);
        }
}

static void movd(Decoder *d, uint8_t op) {
        bool wide = d->rex & 8;

        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = wide ? 3 : 2;
        if (op == 0x7e && d->prefix == 2) { /* MOVQ xmm, xmm/m64 */
                d->u->size = 3;
                decode_choose(d, op_movq_rr, op_mov_low_load);
        } else if (d->prefix == 1) {
                if (op == 0x6e)
                        decode_choose(d, op_movd_from_gpr, op_movd_load);
                else
                        decode_choose(d, op_movd_to_gpr, op_movd_store);
        } else if (d->prefix == 0) {
                uint8_t m = (uint8_t) ((d->reg & 7) << 3 | 6);

                if (op == 0x6e) {
                        decode_choose(d, op_mmx_from_gpr, op_mmx_rm);
                        decode_thunk(d, THUNK_PLAIN, 0, op, m, -1);
                } else if (decode_is_mem(d)) {
                        decode_set(d, op_mmx_store);
                        decode_thunk(d, THUNK_PLAIN, 0, op, m, -1);
                } else { /* movd %mm, %eax: the general register of the thunk is rax */
                        decode_set(d, op_mmx_to_gpr);
                        d->u->reg = d->rm;
                        decode_thunk(d, THUNK_PLAIN, 0, op, (uint8_t) (0xc0 | (d->reg & 7) << 3),
                                     -1);
                }
        } else {
                decode_invalid(d);
        }
}

static void shift_group(Decoder *d, uint8_t op) {
        unsigned kind = d->reg & 7;
        uint8_t imm = decode_byte(d);
        bool ok = op == 0x73
                          ? kind == 2 || kind == 6 || (d->prefix == 1 && (kind == 3 || kind == 7))
                          : kind == 2 || kind == 6 || kind == 4;

        if (decode_is_mem(d) || !ok || d->prefix > 1 || (op == 0x72 && 0)) {
                decode_invalid(d);
                return;
        }
        d->u->rm = d->rm;
        if (d->prefix == 1) {
                decode_set(d, op_sse_shift);
                decode_thunk(d, THUNK_XMM, 0, op, (uint8_t) (0xc0 | kind << 3), imm);
        } else {
                decode_set(d, op_mmx_rr);
                decode_thunk(d, THUNK_PLAIN, 0, op, (uint8_t) (0xc0 | kind << 3 | (d->rm & 7)),
                             imm);
        }
}

static void insert_word(Decoder *d) {
        int imm = decode_byte(d);

        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = 1;
        d->rex = 0;
        if (d->prefix == 1) {
                decode_choose(d, op_sse_insert_r, op_sse_insert_m);
                decode_thunk(d, THUNK_XMM, 0, 0xc4, M_RSI, imm);
        } else if (d->prefix == 0) {
                decode_choose(d, op_mmx_from_gpr, op_mmx_rm);
                decode_thunk(d, THUNK_PLAIN, 0, 0xc4, (uint8_t) ((d->reg & 7) << 3 | 6), imm);
        } else {
                decode_invalid(d);
        }
}

static void extract_word(Decoder *d, uint8_t op, int imm) {
        if (decode_is_mem(d) || d->prefix > 1) {
                decode_invalid(d);
                return;
        }
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = 2;
        d->rex = 0;
        if (d->prefix == 1) {
                decode_set(d, op_sse_mask_r);
                decode_thunk(d, THUNK_XMM_SOURCE, 0, op, 0xc0, imm);
        } else {
                decode_set(d, op_mmx_to_gpr);
                decode_thunk(d, THUNK_PLAIN, 0, op, (uint8_t) (0xc0 | (d->rm & 7)), imm);
        }
}

static void vector_moves(Decoder *d, uint8_t op) {
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
        case 0x28:
        case 0x29:
                if (d->prefix < 2)
                        vector_move(d, op_movx_rr, op_movx_load_aligned, op_movx_store_aligned,
                                    op & 1);
                else
                        decode_invalid(d);
                break;
        case 0x2a:
                gpr_to_vector(d, op);
                break;
        case 0x2b:
        case 0xe7:
                if (op == 0xe7 && d->prefix == 0 && decode_is_mem(d)) {
                        d->u->size = 3;
                        decode_set(d, op_mmx_store);
                        decode_thunk(d, THUNK_PLAIN, 0, 0x7f, (uint8_t) ((d->reg & 7) << 3 | 6),
                                     -1);
                } else if (decode_is_mem(d) && d->prefix < 2 && (op == 0x2b || d->prefix == 1)) {
                        decode_set(d, op_movx_store_aligned);
                } else {
                        decode_invalid(d);
                }
                break;
        case 0x2c:
        case 0x2d:
                vector_to_gpr(d, op);
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
                        if (op == 0x7f && decode_is_mem(d)) {
                                decode_set(d, op_mmx_store);
                                d->rex = 0;
                                decode_thunk(d, THUNK_PLAIN, 0, op,
                                             (uint8_t) ((d->reg & 7) << 3 | 6), -1);
                        } else {
                                decode_mmx(d, 0, op, -1);
                        }
                } else {
                        decode_invalid(d);
                }
                break;
        case 0xd6:
                d->u->size = 3;
                if (d->prefix == 1) { /* MOVQ xmm/m64, xmm */
                        if (decode_is_mem(d)) {
                                decode_set(d, op_mov_low_store);
                        } else {
                                d->u->reg = d->rm;
                                d->u->rm = d->reg;
                                decode_set(d, op_movq_rr);
                        }
                } else if (!decode_is_mem(d) && d->prefix == 2) {
                        decode_set(d, op_movq2dq);
                        d->prefix = 0;
                        d->rex = 0;
                        decode_thunk(d, THUNK_PLAIN, 0, 0x7f, (uint8_t) ((d->rm & 7) << 3 | 6), -1);
                } else if (!decode_is_mem(d) && d->prefix == 3) {
                        decode_set(d, op_movdq2q);
                        d->prefix = 0;
                        d->rex = 0;
                        decode_thunk(d, THUNK_PLAIN, 0, 0x6f, (uint8_t) ((d->reg & 7) << 3 | 6),
                                     -1);
                } else {
                        decode_invalid(d);
                }
                break;
        case 0xf0:
                if (d->prefix == 3 && decode_is_mem(d))
                        decode_set(d, op_movx_load); /* LDDQU */
                else
                        decode_invalid(d);
                break;
        case 0xf7:
                d->u->seg = (uint8_t) (d->seg >= 0 ? d->seg : SEG_DS);
                if (!decode_is_mem(d) && d->prefix == 1) {
                        decode_set(d, op_maskmovdqu);
                } else if (!decode_is_mem(d) && d->prefix == 0) {
                        d->u->size = 3;
                        d->rex = 0;
                        decode_set(d, op_maskmovq);
                        decode_thunk(d, THUNK_PLAIN, 0, op,
                                     (uint8_t) (0xc0 | (d->reg & 7) << 3 | (d->rm & 7)), -1);
                } else {
                        decode_invalid(d);
                }
                break;
        default:
                decode_sse_or_mmx(d, 0, op, -1);
                break;
        }
}

static void vector_arithmetic(Decoder *d, uint8_t op) {
        switch (op) {
        case 0x14:
        case 0x15:
                if (d->prefix < 2)
                        decode_sse(d, 0, op, 4, -1);
                else
                        decode_invalid(d);
                break;
        case 0x2e:
        case 0x2f:
                if (d->prefix > 1) {
                        decode_invalid(d);
                        break;
                }
                d->u->size = d->prefix == 1 ? 3 : 2;
                decode_choose(d, op_sse_flags_rr, op_sse_flags_rm);
                decode_thunk(d, THUNK_XMM_FLAGS, 0, op, M_RSI, -1);
                break;
        case 0x50:
                if (decode_is_mem(d) || d->prefix > 1) {
                        decode_invalid(d);
                        break;
                }
                d->rex = 0;
                decode_set(d, op_sse_mask_r);
                decode_thunk(d, THUNK_XMM_SOURCE, 0, op, 0xc0, -1);
                break;
        case 0x52:
        case 0x53:
                if (d->prefix == 1 || d->prefix == 3)
                        decode_invalid(d);
                else
                        decode_sse(d, 0, op, d->prefix == 2 ? 2 : 4, -1);
                break;
        case 0x51:
        case 0x54 ... 0x59:
        case 0x5c ... 0x5f:
                if (op >= 0x54 && op <= 0x57 && d->prefix > 1)
                        decode_invalid(d);
                else
                        decode_sse(d, 0, op, d->prefix == 2 ? 2 : d->prefix == 3 ? 3 : 4, -1);
                break;
        case 0x5a:
                decode_sse(d, 0, op,
                           d->prefix == 0   ? 3
                           : d->prefix == 1 ? 4
                           : d->prefix == 2 ? 2
                                            : 3,
                           -1);
                break;
        case 0x5b:
                if (d->prefix == 3)
                        decode_invalid(d);
                else
                        decode_sse(d, 0, op, 4, -1);
                break;
        case 0x6c:
        case 0x6d:
        case 0x7c:
        case 0x7d:
        case 0xd0:
                if (d->prefix == 1 || (d->prefix == 3 && op >= 0x7c))
                        decode_sse(d, 0, op, 4, -1);
                else
                        decode_invalid(d);
                break;
        case 0x70:
        case 0xc6: {
                int imm = decode_byte(d);

                if (op == 0xc6 ? d->prefix > 1 : false)
                        decode_invalid(d);
                else if (op == 0x70 && d->prefix == 0)
                        decode_mmx(d, 0, op, imm);
                else
                        decode_sse(d, 0, op, 4, imm);
                break;
        }
        case 0x71 ... 0x73:
                shift_group(d, op);
                break;
        case 0xc2: {
                int imm = decode_byte(d);

                decode_sse(d, 0, op, d->prefix == 2 ? 2 : d->prefix == 3 ? 3 : 4, imm);
                break;
        }
        case 0xc4:
                insert_word(d);
                break;
        case 0xc5: {
                int imm = decode_byte(d);

                extract_word(d, op, imm);
                break;
        }
        case 0xd7:
                extract_word(d, op, -1);
                break;
        case 0xe6:
                if (d->prefix == 0)
                        decode_invalid(d);
                else
                        decode_sse(d, 0, op, d->prefix == 2 ? 3 : 4, -1);
                break;
        default:
                decode_sse_or_mmx(d, 0, op, -1);
                break;
        }
}

static bool is_move(uint8_t op) {
        switch (op) {
        case 0x10 ... 0x13:
        case 0x16:
        case 0x17:
        case 0x28 ... 0x2d:
        case 0x6e:
        case 0x6f:
        case 0x7e:
        case 0x7f:
        case 0xd6:
        case 0xe7:
        case 0xf0:
        case 0xf7:
                return true;
        default:
                return false;
        }
}

/** decode_vector() - MMX and SSE instructions of the two-byte map; all leave Uop.size as the size of a memory operand */
void decode_vector(Decoder *d, uint8_t op) {
        decode_modrm(d);
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->u->size = 4;
        if (is_move(op))
                vector_moves(d, op);
        else
                vector_arithmetic(d, op);
}
