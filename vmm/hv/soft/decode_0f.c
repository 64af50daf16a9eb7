/* SPDX-License-Identifier: Apache-2.0 */
/* The two-byte opcode map less its vector part (SDM volume 2 table A-3). */
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/decode_internal.h"
#include "vmm/hv/soft/handlers.h"

static void group6(Decoder *d) {
        static const UopFn regs[8] = {op_sldt_r, op_str_r,  op_lldt_r,  op_ltr_r,
                                      op_verr_r, op_verw_r, op_invalid, op_invalid};
        static const UopFn mems[8] = {op_sldt_m, op_str_m,  op_lldt_m,  op_ltr_m,
                                      op_verr_m, op_verw_m, op_invalid, op_invalid};

        decode_modrm(d);
        decode_operands(d, d->osize);
        decode_choose(d, regs[d->reg & 7], mems[d->reg & 7]);
}

static void group7(Decoder *d) {
        decode_modrm(d);
        decode_operands(d, d->osize);
        if (decode_is_mem(d)) {
                static const UopFn mems[8] = {op_sgdt,   op_sidt,    op_lgdt,   op_lidt,
                                              op_smsw_m, op_invalid, op_lmsw_m, op_invlpg};

                if ((d->reg & 7) == 6 || (d->reg & 7) == 7)
                        decode_end(d, mems[d->reg & 7]);
                else
                        decode_set(d, mems[d->reg & 7]);
                return;
        }
        switch (d->reg << 3 | (d->rm & 7)) {
        case 0 << 3 | 1: /* VMCALL */
        case 3 << 3 | 1: /* VMMCALL */
                decode_set(d, op_vmcall);
                break;
        case 1 << 3 | 2:
                decode_set(d, d->opsize || d->rep ? op_invalid : op_clac);
                break;
        case 1 << 3 | 3:
                decode_set(d, d->opsize || d->rep ? op_invalid : op_stac);
                break;
        case 7 << 3 | 0:
                if (decode_is64(d))
                        decode_set(d, op_swapgs);
                else
                        decode_invalid(d);
                break;
        case 7 << 3 | 1:
                decode_set(d, op_rdtscp);
                break;
        case 2 << 3 | 0:
                decode_set(d, d->prefix != 0 ? op_invalid : op_xgetbv);
                break;
        case 2 << 3 | 1:
                decode_set(d, d->prefix != 0 ? op_invalid : op_xsetbv);
                break;
        case 5 << 3 | 6:
                decode_set(d, d->prefix != 0 ? op_invalid : op_rdpkru);
                break;
        case 5 << 3 | 7:
                decode_set(d, d->prefix != 0 ? op_invalid : op_wrpkru);
                break;
        case 5 << 3 | 0:
                if (d->rep == 0 && !d->opsize)
                        decode_end(d, op_serialize);
                else
                        decode_invalid(d);
                break;
        default:
                if ((d->reg & 7) == 4)
                        decode_set(d, op_smsw_r);
                else if ((d->reg & 7) == 6)
                        decode_end(d, op_lmsw_r);
                else
                        decode_invalid(d);
                break;
        }
}

static void group15(Decoder *d) {
        decode_modrm(d);
        decode_operands(d, d->rex & 8 ? 3 : 2);
        /* With a prefix these are other instructions, all but those of the segment bases newer than this model. */
        if (d->prefix != 0 && !(d->rep == 0xf3 && !decode_is_mem(d))) {
                decode_invalid(d);
                return;
        }
        if (decode_is_mem(d)) {
                switch (d->reg & 7) {
                case 0:
                        decode_set(d, op_fxsave);
                        break;
                case 1:
                        decode_set(d, op_fxrstor);
                        break;
                case 2:
                        decode_set(d, op_ldmxcsr);
                        break;
                case 3:
                        decode_set(d, op_stmxcsr);
                        break;
                case 4:
                        decode_set(d, op_xsave);
                        break;
                case 5:
                        decode_set(d, op_xrstor);
                        break;
                case 7:
                        decode_set(d, op_clflush);
                        break;
                default:
                        decode_invalid(d);
                        break;
                }
                return;
        }
        if (d->rep == 0xf3) {
                static const UopFn bases[4] = {op_rdfsbase, op_rdgsbase, op_wrfsbase, op_wrgsbase};

                if ((d->reg & 7) < 4)
                        decode_set(d, bases[d->reg & 7]);
                else
                        decode_invalid(d);
        } else if ((d->reg & 7) >= 5) {
                decode_set(d, op_fence);
        } else {
                decode_invalid(d);
        }
}

static void group9(Decoder *d) {
        decode_modrm(d);
        decode_operands(d, d->osize);
        if (decode_is_mem(d) && (d->reg & 7) == 1) {
                if ((d->rex & 8) && !thunk_host_has(d->thunks, HOST_CX16))
                        decode_invalid(d);
                else
                        decode_set(d, d->rex & 8 ? op_cmpxchg16b : op_cmpxchg8b);
                d->u->imm = d->lock;
                d->lock = false;
        } else if (!decode_is_mem(d) && (d->reg & 7) == 6 && d->rep == 0 &&
                   thunk_host_has(d->thunks, HOST_RDRAND)) {
                decode_set(d, op_rdrand);
        } else {
                decode_invalid(d);
        }
}

static void bits(Decoder *d, unsigned kind, bool imm) {
        unsigned size = d->osize;

        decode_operands(d, size);
        if (imm) {
                d->u->imm = decode_byte(d) & (size == 1 ? 15u : size == 2 ? 31u : 63u);
                if (kind == 0)
                        decode_choose(d, bt_ri[0][size], bt_mi[0][size]);
                else
                        decode_choose_lock(d, bt_ri[kind][size], bt_mi[kind][size],
                                           bt_mi_lock[kind][size]);
        } else if (kind == 0) {
                decode_choose(d, bt_rr[0][size], bt_mr[0][size]);
        } else {
                decode_choose_lock(d, bt_rr[kind][size], bt_mr[kind][size], bt_mr_lock[kind][size]);
        }
}

/** decode_far_pointer() - LES, LDS, LSS, LFS, LGS: a register and segment @seg from memory, and from nowhere else */
void decode_far_pointer(Decoder *d, unsigned seg) {
        decode_modrm(d);
        decode_operands(d, d->osize);
        d->u->op = (uint8_t) seg;
        if (decode_is_mem(d))
                decode_end(d, op_load_far_pointer);
        else
                decode_invalid(d);
}

static void extend(Decoder *d, const UopFn rr[][4], const UopFn rm[][4], unsigned source) {
        decode_modrm(d);
        d->u->size = (uint8_t) d->osize;
        d->u->reg = d->reg;
        d->u->rm = decode_sized_reg(d, d->rm, source);
        decode_choose(d, rr[source][d->osize], rm[source][d->osize]);
}

static void system_0f(Decoder *d, uint8_t op) {
        switch (op) {
        case 0x00:
                group6(d);
                break;
        case 0x01:
                group7(d);
                break;
        case 0x02:
        case 0x03:
                decode_modrm(d);
                decode_operands(d, d->osize);
                if (op == 2)
                        decode_choose(d, op_lar_r, op_lar_m);
                else
                        decode_choose(d, op_lsl_r, op_lsl_m);
                break;
        case 0x05:
                decode_end(d, op_syscall);
                break;
        case 0x06:
                decode_set(d, op_clts);
                break;
        case 0x07:
                d->u->size = d->rex & 8 ? 3 : 2;
                decode_end(d, op_sysret);
                break;
        case 0x08:
        case 0x09:
                decode_set(d, op_wbinvd);
                break;
        case 0x0d:
        case 0x18 ... 0x1f: /* prefetches and NOPs, ENDBR among them */
                decode_modrm(d);
                decode_set(d, op_nop);
                break;
        case 0x20 ... 0x23: {
                static const UopFn moves[4] = {op_mov_from_cr, op_mov_from_dr, op_mov_to_cr,
                                               op_mov_to_dr};
                uint8_t m = decode_byte(d);

                d->u->reg = (uint8_t) ((m >> 3 & 7) | (d->rex & 4 ? 8 : 0));
                d->u->rm = (uint8_t) ((m & 7) | (d->rex & 1 ? 8 : 0));
                decode_set(d, moves[op & 3]);
                d->end = op == 0x22;
                break;
        }
        case 0x30:
                decode_end(d, op_wrmsr);
                break;
        case 0x31:
                decode_set(d, op_rdtsc);
                break;
        case 0x32:
                decode_set(d, op_rdmsr);
                break;
        case 0x33:
                decode_set(d, op_rdpmc);
                break;
        case 0x34:
                decode_end(d, op_sysenter);
                break;
        case 0x35:
                d->u->size = d->rex & 8 ? 3 : 2;
                decode_end(d, op_sysexit);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

static void general_0f(Decoder *d, uint8_t op) {
        switch (op) {
        case 0x38:
                decode_map_0f38(d);
                break;
        case 0x3a:
                decode_map_0f3a(d);
                break;
        case 0x40 ... 0x4f:
                decode_modrm(d);
                decode_operands(d, d->osize);
                d->u->op = op & 15;
                decode_choose(d, cmov_rr[d->osize], cmov_rm[d->osize]);
                break;
        case 0x77:
                decode_set(d, op_mmx_rr); /* EMMS */
                if (d->prefix != 0) {
                        decode_invalid(d);
                } else {
                        static const uint8_t emms[2] = {0x0f, 0x77};

                        d->u->imm =
                                (uint64_t) (uintptr_t) thunk_get(d->thunks, THUNK_PLAIN, emms, 2);
                        if (!d->u->imm)
                                decode_invalid(d);
                }
                break;
        case 0x80 ... 0x8f:
                d->u->size = (uint8_t) decode_branch_osize(d);
                d->u->op = op & 15;
                d->u->imm = decode_immediate_signed(d, d->u->size == 1 ? 2 : 4);
                decode_end(d, op_jcc);
                break;
        case 0x90 ... 0x9f:
                decode_modrm(d);
                decode_operands(d, 0);
                d->u->op = op & 15;
                decode_choose(d, op_setcc_r, op_setcc_m);
                break;
        case 0xa0:
        case 0xa8:
                d->u->size = (uint8_t) decode_stack_osize(d);
                d->u->reg = op == 0xa0 ? SEG_FS : SEG_GS;
                decode_set(d, op_push_seg);
                break;
        case 0xa1:
        case 0xa9:
                d->u->size = (uint8_t) decode_stack_osize(d);
                d->u->reg = op == 0xa1 ? SEG_FS : SEG_GS;
                decode_end(d, op_pop_seg);
                break;
        case 0xa2:
                decode_set(d, op_cpuid);
                break;
        case 0xa3:
        case 0xab:
        case 0xb3:
        case 0xbb:
                decode_modrm(d);
                bits(d, op >> 3 & 3, false);
                break;
        case 0xa4:
        case 0xa5:
        case 0xac:
        case 0xad: {
                unsigned right = op >= 0xac;

                decode_modrm(d);
                decode_operands(d, d->osize);
                d->u->imm = op & 1 ? 0x100 : decode_byte(d);
                decode_choose(d, shld_rr[right][d->osize], shld_mr[right][d->osize]);
                break;
        }
        case 0xae:
                group15(d);
                break;
        case 0xaf:
                decode_modrm(d);
                decode_operands(d, d->osize);
                decode_choose(d, imul_rr[d->osize], imul_rm[d->osize]);
                break;
        case 0xb0:
        case 0xb1: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                decode_choose_lock(d, cmpxchg_rr[size], cmpxchg_mr[size], cmpxchg_mr_lock[size]);
                break;
        }
        case 0xb2:
                decode_far_pointer(d, SEG_SS);
                break;
        case 0xb4:
                decode_far_pointer(d, SEG_FS);
                break;
        case 0xb5:
                decode_far_pointer(d, SEG_GS);
                break;
        case 0xb6:
        case 0xb7:
                extend(d, movzx_rr, movzx_rm, op & 1);
                break;
        case 0xb8:
                decode_modrm(d);
                decode_operands(d, d->osize);
                d->u->op = 1;
                if (d->rep == 0xf3 && thunk_host_has(d->thunks, HOST_POPCNT))
                        decode_choose(d, scan_rr[SCAN_POPCNT][d->osize],
                                      scan_rm[SCAN_POPCNT][d->osize]);
                else
                        decode_invalid(d);
                break;
        case 0xba:
                decode_modrm(d);
                if ((d->reg & 7) < 4)
                        decode_invalid(d);
                else
                        bits(d, d->reg & 3, true);
                break;
        case 0xbc:
        case 0xbd: /* without BMI1 and LZCNT the F3 prefix is ignored */
                decode_modrm(d);
                decode_operands(d, d->osize);
                decode_choose(d, scan_rr[op & 1][d->osize], scan_rm[op & 1][d->osize]);
                break;
        case 0xbe:
        case 0xbf:
                extend(d, movsx_rr, movsx_rm, op & 1);
                break;
        case 0xc0:
        case 0xc1: {
                unsigned size = op & 1 ? d->osize : 0;

                decode_modrm(d);
                decode_operands(d, size);
                decode_choose_lock(d, xadd_rr[size], xadd_mr[size], xadd_mr_lock[size]);
                break;
        }
        case 0xc3:
                decode_modrm(d);
                decode_operands(d, d->rex & 8 ? 3 : 2);
                if (d->prefix == 0)
                        decode_only_mem(d, op_movnti);
                else
                        decode_invalid(d);
                break;
        case 0xc7:
                group9(d);
                break;
        case 0xc8 ... 0xcf:
                d->u->rm = (uint8_t) ((op & 7) | (d->rex & 1 ? 8 : 0));
                decode_set(d, bswap_r[d->osize]);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

/** decode_is_vector() - whether @op of the two-byte map is one of MMX and SSE */
bool decode_is_vector(uint8_t op) {
        return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) ||
               (op >= 0x50 && op <= 0x76) || (op >= 0x7c && op <= 0x7f) || op == 0xc2 ||
               (op >= 0xc4 && op <= 0xc6) || (op >= 0xd0 && op != 0xff);
}

/** decode_map_0f() - the two-byte opcode map (SDM volume 2 table A-3) */
void decode_map_0f(Decoder *d) {
        uint8_t op = decode_byte(d);

        d->prefix = d->rep == 0xf3 ? 2 : d->rep == 0xf2 ? 3 : d->opsize ? 1 : 0;
        if (decode_is_vector(op))
                decode_vector(d, op);
        else if (op < 0x38)
                system_0f(d, op);
        else
                general_0f(d, op);
}
