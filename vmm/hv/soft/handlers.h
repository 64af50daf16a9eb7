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

/* One handler an instruction form; suffixes as above. */
typedef void UopHandler(SoftCpu *c, const Uop *u);

/* exec_move.c */
UopHandler op_lea, op_clflush, op_setcc_r, op_setcc_m, op_convert_a, op_convert_d, op_sahf, op_lahf,
        op_cmc, op_clc, op_stc, op_cld, op_std, op_nop, op_xlat, op_moffs_load, op_moffs_store,
        op_salc, op_daa, op_aam, op_aad, op_fence, op_cmpxchg8b, op_cmpxchg16b, op_movnti;

/* exec_stack.c */
UopHandler op_push_r64, op_pop_r64, op_push_r, op_pop_r, op_push_i, op_push_m, op_pop_m, op_pushf,
        op_popf, op_pusha, op_popa, op_enter, op_leave, op_jcc, op_jmp_rel, op_jmp_r, op_jmp_m,
        op_call_rel, op_call_r, op_call_m, op_ret, op_loop_rel, op_jcxz_rel;

/* exec_system.c */
UopHandler op_too_long, op_invalid, op_int3, op_int_n, op_into, op_bound, op_icebp, op_iret, op_cli,
        op_sti, op_hlt, op_pause, op_cpuid, op_rdmsr, op_wrmsr, op_rdtsc, op_rdtscp, op_rdpmc,
        op_rdrand, op_in_i, op_out_i, op_invlpg, op_clac, op_stac, op_invpcid, op_wbinvd,
        op_serialize, op_vmcall;

/* exec_control.c */
UopHandler op_mov_from_cr, op_mov_to_cr, op_clts, op_lmsw_r, op_lmsw_m, op_smsw_r, op_smsw_m,
        op_mov_from_dr, op_mov_to_dr;

/* exec_descriptor.c */
UopHandler op_lgdt, op_lidt, op_sgdt, op_sidt, op_lldt_r, op_lldt_m, op_ltr_r, op_ltr_m, op_sldt_r,
        op_sldt_m, op_str_r, op_str_m, op_verr_r, op_verr_m, op_verw_r, op_verw_m, op_lar_r,
        op_lar_m, op_lsl_r, op_lsl_m, op_arpl_r, op_arpl_m;

/* exec_segment.c */
UopHandler op_mov_from_seg_r, op_mov_from_seg_m, op_mov_to_seg_r, op_mov_to_seg_m, op_push_seg,
        op_pop_seg, op_load_far_pointer, op_far_jmp_i, op_far_call_i, op_far_jmp_m, op_far_call_m,
        op_far_ret, op_swapgs, op_rdfsbase, op_rdgsbase, op_wrfsbase, op_wrgsbase, op_syscall,
        op_sysret, op_sysenter, op_sysexit;

/* keys.c, exec_xsave.c */
UopHandler op_rdpkru, op_wrpkru, op_fxsave, op_fxrstor, op_xgetbv, op_xsetbv, op_xsave, op_xrstor;

/* exec_x87.c */
UopHandler op_x87_r, op_x87_load, op_x87_store, op_x87_fldcw, op_x87_fnstcw, op_x87_fnstsw_m,
        op_x87_fnstsw_ax, op_x87_fninit, op_x87_fnclex, op_x87_fwait, op_x87_fcmov, op_x87_fcomi,
        op_x87_fnstenv, op_x87_fldenv, op_x87_fnsave, op_x87_frstor;

/* exec_mmx.c */
UopHandler op_mmx_rr, op_mmx_rm, op_sse_to_mmx, op_mmx_store, op_maskmovq, op_mmx_to_gpr,
        op_mmx_from_gpr, op_movq2dq, op_movdq2q;

/* exec_sse.c */
UopHandler op_sse_rr, op_sse_rm, op_sse_flags_rr, op_sse_flags_rm, op_sse_to_gpr_r, op_sse_to_gpr_m,
        op_sse_mask_r, op_sse_from_gpr_r, op_sse_from_mmx, op_sse_from_gpr_m, op_sse_shift,
        op_sse_blendv_rr, op_sse_blendv_rm, op_sse_string_rr, op_sse_string_rm, op_sse_extract_r,
        op_sse_extract_m, op_sse_insert_r, op_insertps_r, op_sse_insert_m, op_ldmxcsr, op_stmxcsr,
        op_crc32_r, op_crc32_m;

/* exec_sse_move.c */
UopHandler op_movx_rr, op_movx_load, op_movx_load_aligned, op_movx_store, op_movx_store_aligned,
        op_mov_low_rr, op_mov_low_load, op_mov_low_store, op_mov_half_load, op_mov_half_store,
        op_movhlps, op_movlhps, op_movd_from_gpr, op_movd_load, op_movd_to_gpr, op_movd_store,
        op_movq_rr, op_maskmovdqu;

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
/* ECX of CPUID leaf 1 */
#define HOST_PCLMUL (1u << 1)
#define HOST_SSSE3 (1u << 9)
#define HOST_CX16 (1u << 13)
#define HOST_SSE41 (1u << 19)
#define HOST_SSE42 (1u << 20)
#define HOST_MOVBE (1u << 22)
#define HOST_POPCNT (1u << 23)
#define HOST_AES (1u << 25)
#define HOST_RDRAND (1u << 30)
void thunk_cache_limit(ThunkCache *cache, uint32_t features);
bool thunk_host_has(const ThunkCache *cache, uint32_t feature);
bool thunk_cache_has_room(const ThunkCache *cache, unsigned n);
void thunk_cache_flush(ThunkCache *cache);
Thunk thunk_get(ThunkCache *cache, ThunkKind kind, const uint8_t *bytes, unsigned len);
const uint8_t *thunk_instruction(Thunk thunk, ThunkKind kind);
