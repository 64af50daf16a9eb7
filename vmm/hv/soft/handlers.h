/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The handlers that the decoder chooses from. Tables are indexed by operation, then operand size (0..3). */

#include "vmm/hv/soft/cpu.h"

/* Suffixes: r register, m memory, i immediate, c CL; _lock with LOCK prefix; the destination comes first. */
typedef enum AluOp { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP } AluOp;
extern const UopFn alu_rr[8][4], alu_rm[8][4], alu_mr[8][4], alu_ri[8][4], alu_mi[8][4];
extern const UopFn alu_mr_lock[8][4], alu_mi_lock[8][4];
extern const UopFn test_rr[4], test_mr[4], test_ri[4], test_mi[4];
extern const UopFn shift_ri[8][4], shift_rc[8][4], shift_mi[8][4], shift_mc[8][4];
typedef enum UnaryOp { UNARY_NOT, UNARY_NEG, UNARY_INC, UNARY_DEC } UnaryOp;
extern const UopFn unary_r[4][4], unary_m[4][4], unary_m_lock[4][4];
extern const UopFn mul_r[4], mul_m[4], imul1_r[4], imul1_m[4], div_r[4], div_m[4], idiv_r[4],
        idiv_m[4];
extern const UopFn imul_rr[4], imul_rm[4], imul_rri[4], imul_rmi[4];
extern const UopFn mov_rr[4], mov_rm[4], mov_mr[4], mov_ri[4], mov_mi[4];
extern const UopFn xchg_rr[4], xchg_mr[4], cmpxchg_rr[4], cmpxchg_mr[4], cmpxchg_mr_lock[4];
extern const UopFn xadd_rr[4], xadd_mr[4], xadd_mr_lock[4];
extern const UopFn bt_rr[4][4], bt_mr[4][4], bt_mr_lock[4][4], bt_ri[4][4], bt_mi[4][4],
        bt_mi_lock[4][4];
typedef enum ScanOp { SCAN_BSF, SCAN_BSR, SCAN_POPCNT } ScanOp;
extern const UopFn scan_rr[3][4], scan_rm[3][4];
extern const UopFn shld_rr[2][4],
        shld_mr[2][4]; /* 0 SHLD, 1 SHRD; count: imm, or CL when imm is 0x100 */
extern const UopFn movzx_rr[2][4], movzx_rm[2][4], movsx_rr[3][4],
        movsx_rm[3][4]; /* source 8, 16, 32 bits */
extern const UopFn cmov_rr[4], cmov_rm[4], bswap_r[4], movbe_rm[4], movbe_mr[4];
extern const UopFn string_ops[7][4]; /* STRING_*; op: 0 once, 1 REP(E), 2 REPNE */

enum { STRING_MOVS, STRING_CMPS, STRING_STOS, STRING_LODS, STRING_SCAS, STRING_INS, STRING_OUTS };

#define HANDLERS(X)                                                                                                                                                                                                                                                                                                                                                                                           \
        X(lea)                                                                                                                                                                                                                                                                                                                                                                                                \
        X(setcc_r)                                                                                                                                                                                                                                                                                                                                                                                            \
        X(setcc_m)                                                                                                                                                                                                                                                                                                                                                                                            \
        X(jcc)                                                                                                                                                                                                                                                                                                                                                                                                \
        X(jmp_rel)                                                                                                                                                                                                                                                                                                                                                                                            \
        X(jmp_r)                                                                                                                                                                                                                                                                                                                                                                                              \
        X(jmp_m)                                                                                                                                                                                                                                                                                                                                                                                              \
        X(call_rel) X(call_r) X(call_m) X(ret) X(loop_rel) X(jcxz_rel) X(push_r64) X(pop_r64) X(push_r) X(                                                                                                                                                                                                                                                                                                    \
                pop_r) X(push_i) X(push_m) X(pop_m) X(pushf) X(popf) X(push_seg) X(pop_seg) X(pusha) X(popa)                                                                                                                                                                                                                                                                                                  \
                X(enter) X(leave) X(convert_a) X(convert_d) X(sahf) X(lahf) X(cmc) X(clc) X(stc) X(cld) X(                                                                                                                                                                                                                                                                                                    \
                        std) X(cli) X(sti) X(nop) X(pause) X(xlat) X(salc) X(daa) X(aam) X(aad) X(invalid) X(int3)                                                                                                                                                                                                                                                                                            \
                        X(int_n) X(into) X(icebp) X(iret) X(hlt) X(syscall) X(sysret) X(sysenter) X(sysexit) X(                                                                                                                                                                                                                                                                                               \
                                cpuid) X(rdmsr) X(wrmsr) X(rdtsc) X(rdtscp) X(rdpmc) X(rdrand) X(in_i) X(out_i) X(mov_from_cr)                                                                                                                                                                                                                                                                                \
                                X(mov_to_cr) X(mov_from_dr) X(mov_to_dr) X(clts) X(lmsw_r) X(lmsw_m) X(smsw_r) X(                                                                                                                                                                                                                                                                                             \
                                        smsw_m) X(lgdt) X(lidt) X(sgdt) X(sidt) X(lldt_r) X(lldt_m) X(ltr_r)                                                                                                                                                                                                                                                                                                  \
                                        X(ltr_m) X(sldt_r) X(sldt_m) X(str_r) X(str_m) X(verr_r) X(                                                                                                                                                                                                                                                                                                           \
                                                verr_m) X(verw_r) X(verw_m) X(lar_r) X(lar_m) X(lsl_r)                                                                                                                                                                                                                                                                                                        \
                                                X(lsl_m) X(invlpg) X(wbinvd) X(swapgs) X(vmcall) X(mov_from_seg_r) X(                                                                                                                                                                                                                                                                                         \
                                                        mov_from_seg_m) X(mov_to_seg_r) X(mov_to_seg_m) X(far_jmp_i) X(far_call_i)                                                                                                                                                                                                                                                                            \
                                                        X(far_jmp_m) X(far_call_m) X(far_ret) X(load_far_pointer) X(                                                                                                                                                                                                                                                                                          \
                                                                serialize) X(fence) X(rdfsbase) X(rdgsbase) X(wrfsbase)                                                                                                                                                                                                                                                                                       \
                                                                X(wrgsbase) X(cmpxchg8b) X(cmpxchg16b) X(movnti) X(                                                                                                                                                                                                                                                                                           \
                                                                        bound) X(arpl_r) X(arpl_m) X(fxsave) X(fxrstor)                                                                                                                                                                                                                                                                                       \
                                                                        X(ldmxcsr) X(stmxcsr) X(x87_r) X(x87_load) X(                                                                                                                                                                                                                                                                                         \
                                                                                x87_store) X(x87_fldcw) X(x87_fnstcw) X(x87_fnstsw_m)                                                                                                                                                                                                                                                                         \
                                                                                X(x87_fnstsw_ax) X(x87_fninit) X(x87_fnclex) X(                                                                                                                                                                                                                                                                               \
                                                                                        x87_fwait) X(x87_fcmov) X(x87_fcomi)                                                                                                                                                                                                                                                                                  \
                                                                                        X(x87_fldenv) X(x87_fnstenv) X(                                                                                                                                                                                                                                                                                       \
                                                                                                x87_frstor) X(x87_fnsave)                                                                                                                                                                                                                                                                                     \
                                                                                                X(sse_rr) X(sse_rm) X(                                                                                                                                                                                                                                                                                        \
                                                                                                        sse_flags_rr)                                                                                                                                                                                                                                                                                         \
                                                                                                        X(sse_flags_rm)                                                                                                                                                                                                                                                                                       \
                                                                                                                X(sse_to_gpr_r)                                                                                                                                                                                                                                                                               \
                                                                                                                        X(                                                                                                                                                                                                                                                                                    \
                                                                                                                                sse_to_gpr_m) X(sse_mask_r) X(sse_from_gpr_r) X(sse_from_gpr_m) X(sse_shift) X(sse_blendv_rr) X(sse_blendv_rm) X(sse_string_rr) X(sse_string_rm) X(sse_extract_r) X(sse_extract_m) X(sse_insert_r) X(sse_insert_m) X(movx_rr) X(movx_load) X(movx_load_aligned) X(movx_store) \
                                                                                                                                X(movx_store_aligned) X(mov_low_rr)                                                                                                                                                                                                                                           \
                                                                                                                                        X(mov_low_load) X(                                                                                                                                                                                                                                                    \
                                                                                                                                                mov_low_store) X(mov_half_load) X(mov_half_store) X(movhlps) X(movlhps) X(movd_from_gpr) X(movd_load) X(movd_to_gpr) X(movd_store) X(movq_rr) X(maskmovdqu) X(movq2dq) X(movdq2q) X(mmx_rr)                                                                   \
                                                                                                                                                X(mmx_rm) X(mmx_store) X(                                                                                                                                                                                                                                     \
                                                                                                                                                        mmx_to_gpr)                                                                                                                                                                                                                                           \
                                                                                                                                                        X(mmx_from_gpr) X(                                                                                                                                                                                                                                    \
                                                                                                                                                                crc32_r)                                                                                                                                                                                                                                      \
                                                                                                                                                                X(crc32_m)

#define DECLARE(name) void op_##name(SoftCpu *c, const Uop *u);
HANDLERS(DECLARE)
#undef DECLARE

/* thunk.c: native code for one instruction with operands in memory. */
typedef uint64_t (*Thunk)(void *destination, void *source, void *more);

/* What surrounds the instruction. Its own operands are xmm0 (or as said) and the memory at the second argument. */
typedef enum ThunkKind {
        THUNK_XMM,        /* xmm0 = *first; op; *first = xmm0 */
        THUNK_XMM_FLAGS,  /* xmm0 = *first; op; returns the flags */
        THUNK_XMM_SOURCE, /* xmm0 = *second; op eax, xmm0; returns rax */
        THUNK_XMM_BLENDV, /* xmm1 = *first; xmm0 = *third; op; *first = xmm1 */
        THUNK_XMM_STRING, /* xmm1 = *first; rax, rdx = third[0, 1]; op; third[2] = rcx, third[4, 5] = xmm0; flags */
        THUNK_PLAIN,      /* op; returns rax */
        THUNK_FLAGS,      /* op; returns the flags */
        THUNK_WITH_FLAGS, /* flags as *(third) says first; op */
        THUNK_WITH_RAX,   /* rax = *third; op; returns rax */
        THUNK_KINDS,
} ThunkKind;

typedef struct ThunkCache ThunkCache;
int thunk_cache_new(ThunkCache **ret);
void thunk_cache_free(ThunkCache *cache);
Thunk thunk_get(ThunkCache *cache, ThunkKind kind, const uint8_t *bytes, unsigned len);
