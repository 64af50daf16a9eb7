/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, MMX and SSE. The guest's x87 and MMX registers live in the host's while the guest runs, because nothing else on
 * this thread uses them; XMM registers live in memory, because the compiler does use those. The x87's control word is
 * the guest's with its masks: an exception stays pending until the guest's next waiting instruction, and no such
 * instruction is executed before need_x87_wait() has looked. The host's MXCSR has the guest's rounding and all
 * exceptions masked; its sticky flags accumulate where they arise.
 */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"

#define THUNK(u) ((Thunk) (uintptr_t) (u)->imm)

static inline uint32_t host_mxcsr(void) {
        return __builtin_ia32_stmxcsr();
}

/* SSE: #UD without OSFXSR or with EM, #NM with TS. */
static inline void need_sse(SoftCpu *c, const Uop *u) {
        if (unlikely((c->cr0 & (CR0_EM | CR0_TS)) || !(c->cr4 & CR4_OSFXSR)))
                cpu_raise(c, u, (c->cr0 & CR0_EM) || !(c->cr4 & CR4_OSFXSR) ? EXC_UD : EXC_NM);
}

static inline void need_x87(SoftCpu *c, const Uop *u) {
        if (unlikely(c->cr0 & (CR0_EM | CR0_TS)))
                cpu_raise(c, u, EXC_NM);
}

/* An exception that an earlier instruction left unmasked is reported by the next one that waits. */
static inline void check_pending(SoftCpu *c, const Uop *u) {
        if (unlikely(c->x87_watch)) {
                uint16_t sw;

                __asm__ volatile("fnstsw %0" : "=m"(sw));
                if (sw & 0x80)
                        cpu_raise(c, u, EXC_MF);
        }
}

static inline void need_x87_wait(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        check_pending(c, u);
}

/* MMX instructions: #UD with EM. */
static inline void need_mmx(SoftCpu *c, const Uop *u) {
        if (unlikely(c->cr0 & (CR0_EM | CR0_TS)))
                cpu_raise(c, u, c->cr0 & CR0_EM ? EXC_UD : EXC_NM);
        check_pending(c, u);
}

/* With exceptions unmasked, the flags of one instruction decide whether its result counts. */
#define UNMASKED(c) unlikely(((c)->mxcsr & 0x1f80) != 0x1f80)

/* Unmasked underflow means a tiny result and nothing else: it does not have to be inexact, and none is flushed. */
#define MXCSR_UM 0x800u
#define MXCSR_UE 0x10u
#define MXCSR_FZ 0x8000u

static void sse_begin(SoftCpu *c) {
        uint32_t v;

        c->mxcsr |= host_mxcsr() & 0x3f;
        v = (c->mxcsr | 0x1f80) & ~0x3fu;
        __builtin_ia32_ldmxcsr(c->mxcsr & MXCSR_UM ? v : v & ~MXCSR_FZ);
}

/* Masked underflow is told of exact tiny results, too, when they are flushed. */
static uint32_t sse_tiny(SoftCpu *c, const Uop *u, const Xmm *dst, void *src, void *more) {
        uint32_t before = host_mxcsr(), tiny;
        Xmm scratch = *dst;

        if (c->mxcsr & MXCSR_UM)
                return 0;
        __builtin_ia32_ldmxcsr(before | MXCSR_FZ);
        (void) THUNK(u)(&scratch, src == dst ? &scratch : src, more);
        tiny = host_mxcsr() & MXCSR_UE;
        __builtin_ia32_ldmxcsr(before);
        return tiny;
}

/* Invalid operands, denormals and division by zero are known before there is a result to overflow or to round. */
#define MXCSR_BEFORE 0x7u

static bool sse_end(SoftCpu *c, uint32_t tiny) {
        uint32_t raised = (host_mxcsr() & 0x3f) | tiny;

        if (raised & MXCSR_BEFORE & ~(c->mxcsr >> 7))
                raised &= MXCSR_BEFORE;
        c->mxcsr |= raised;
        __builtin_ia32_ldmxcsr(c->mxcsr | 0x1f80);
        return raised & ~(c->mxcsr >> 7) & 0x3f;
}

static _Noreturn void sse_fault(SoftCpu *c, const Uop *u) {
        cpu_raise(c, u, c->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

static inline uint64_t sse_call(SoftCpu *c, const Uop *u, Xmm *dst, void *src, void *more) {
        if (UNMASKED(c)) {
                Xmm keep = *dst;
                uint32_t tiny;
                uint64_t r;

                sse_begin(c);
                tiny = sse_tiny(c, u, dst, src, more);
                r = THUNK(u)(dst, src, more);
                if (sse_end(c, tiny)) {
                        *dst = keep;
                        sse_fault(c, u);
                }
                return r;
        }
        return THUNK(u)(dst, src, more);
}

/* Memory operand of 1 << @size bytes; 16 bytes must be aligned (op bit 0 excepts some). */
static inline void *sse_operand(SoftCpu *c, const Uop *u) {
        uint64_t va = ea(c, u);

        switch (u->size) {
        case 4:
                if (unlikely((va & 15) && !(u->op & 1)))
                        cpu_raise_code(c, u, EXC_GP, 0);
                mem_read_bytes(c, u, va, &c->tmp[0], 16);
                break;
        case 3:
                c->tmp[0].q[0] = mem_read64(c, u, va);
                break;
        case 2:
                c->tmp[0].q[0] = mem_read32(c, u, va);
                break;
        case 1:
                c->tmp[0].q[0] = mem_read16(c, u, va);
                break;
        default:
                c->tmp[0].q[0] = mem_read8(c, u, va);
                break;
        }
        return &c->tmp[0];
}

void op_sse_rr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        (void) sse_call(c, u, &c->xmm[u->reg], &c->xmm[u->rm], NULL);
        NEXT(c, u);
}

void op_sse_rm(SoftCpu *c, const Uop *u) {
        void *src;

        need_sse(c, u);
        src = sse_operand(c, u);
        (void) sse_call(c, u, &c->xmm[u->reg], src, NULL);
        NEXT(c, u);
}

void op_sse_flags_rr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->af = (uint32_t) sse_call(c, u, &c->xmm[u->reg], &c->xmm[u->rm], NULL);
        NEXT(c, u);
}

void op_sse_flags_rm(SoftCpu *c, const Uop *u) {
        void *src;

        need_sse(c, u);
        src = sse_operand(c, u);
        c->af = (uint32_t) sse_call(c, u, &c->xmm[u->reg], src, NULL);
        NEXT(c, u);
}

/* To a general register; 32-bit results come zero-extended. */
void op_sse_to_gpr_r(SoftCpu *c, const Uop *u) {
        Xmm none = {{0}};

        need_sse(c, u);
        c->r[u->reg] = sse_call(c, u, &none, &c->xmm[u->rm], NULL);
        NEXT(c, u);
}

void op_sse_to_gpr_m(SoftCpu *c, const Uop *u) {
        void *src;
        Xmm none = {{0}};

        need_sse(c, u);
        src = sse_operand(c, u);
        c->r[u->reg] = sse_call(c, u, &none, src, NULL);
        NEXT(c, u);
}

void op_sse_mask_r(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->r[u->reg] = (uint32_t) THUNK(u)(NULL, &c->xmm[u->rm], NULL);
        NEXT(c, u);
}

void op_sse_from_gpr_r(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->tmp[0].q[0] = c->r[u->rm];
        (void) sse_call(c, u, &c->xmm[u->reg], &c->tmp[0], NULL);
        NEXT(c, u);
}

/* CVTPI2PS, CVTPI2PD with an MMX register, and the former with memory, begin MMX operation. */
void op_sse_from_mmx(SoftCpu *c, const Uop *u) {
        void *src = NULL;

        need_sse(c, u);
        need_mmx(c, u);
        if (u->size == 3)
                src = sse_operand(c, u);
        (void) sse_call(c, u, &c->xmm[u->reg], src, NULL);
        NEXT(c, u);
}

void op_sse_from_gpr_m(SoftCpu *c, const Uop *u) {
        op_sse_rm(c, u);
}

/* Shift by immediate: the operand is @rm. */
void op_sse_shift(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        (void) THUNK(u)(&c->xmm[u->rm], NULL, NULL);
        NEXT(c, u);
}

void op_sse_blendv_rr(SoftCpu *c, const Uop *u) {
        Xmm mask = c->xmm[0];

        need_sse(c, u);
        (void) THUNK(u)(&c->xmm[u->reg], &c->xmm[u->rm], &mask);
        NEXT(c, u);
}

void op_sse_blendv_rm(SoftCpu *c, const Uop *u) {
        Xmm mask = c->xmm[0];
        void *src;

        need_sse(c, u);
        src = sse_operand(c, u);
        (void) THUNK(u)(&c->xmm[u->reg], src, &mask);
        NEXT(c, u);
}

/* PCMPxSTRx; op bit 1: the result is a mask in xmm0, else an index in ecx. */
static void sse_string(SoftCpu *c, const Uop *u, void *src) {
        uint64_t more[8] __attribute__((aligned(16))) = {c->r[RAX], c->r[RDX]};

        c->af = (uint32_t) THUNK(u)(&c->xmm[u->reg], src, more);
        if (u->op & 2)
                memcpy(&c->xmm[0], &more[4], 16);
        else
                c->r[RCX] = (uint32_t) more[2];
}

void op_sse_string_rr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        sse_string(c, u, &c->xmm[u->rm]);
        NEXT(c, u);
}

void op_sse_string_rm(SoftCpu *c, const Uop *u) {
        void *src;

        need_sse(c, u);
        src = sse_operand(c, u);
        sse_string(c, u, src);
        NEXT(c, u);
}

/* PEXTRB/W/D/Q, EXTRACTPS: the register is @reg, the element goes to @rm or memory of 1 << size bytes. */
void op_sse_extract_r(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->tmp[1].q[0] = 0;
        (void) THUNK(u)(&c->xmm[u->reg], &c->tmp[1], NULL);
        c->r[u->rm] = c->tmp[1].q[0];
        NEXT(c, u);
}

void op_sse_extract_m(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        (void) THUNK(u)(&c->xmm[u->reg], &c->tmp[1], NULL);
        mem_write_bytes(c, u, ea(c, u), &c->tmp[1], 1u << u->size);
        NEXT(c, u);
}

void op_sse_insert_r(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->tmp[0].q[0] = c->r[u->rm];
        (void) THUNK(u)(&c->xmm[u->reg], &c->tmp[0], NULL);
        NEXT(c, u);
}

/* INSERTPS: element @op of @rm. */
void op_insertps_r(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->tmp[0].q[0] = c->xmm[u->rm].d[u->op];
        (void) THUNK(u)(&c->xmm[u->reg], &c->tmp[0], NULL);
        NEXT(c, u);
}

void op_sse_insert_m(SoftCpu *c, const Uop *u) {
        op_sse_rm(c, u);
}

/* ---- moves ---- */

void op_movx_rr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->xmm[u->reg] = c->xmm[u->rm];
        NEXT(c, u);
}

static inline void load16(SoftCpu *c, const Uop *u, uint64_t va) {
        mem_read_bytes(c, u, va, &c->tmp[0], 16);
        c->xmm[u->reg] = c->tmp[0];
}

void op_movx_load(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        load16(c, u, ea(c, u));
        NEXT(c, u);
}

void op_movx_load_aligned(SoftCpu *c, const Uop *u) {
        uint64_t va;

        need_sse(c, u);
        va = ea(c, u);
        if (unlikely(va & 15))
                cpu_raise_code(c, u, EXC_GP, 0);
        load16(c, u, va);
        NEXT(c, u);
}

void op_movx_store(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        mem_write_bytes(c, u, ea(c, u), &c->xmm[u->reg], 16);
        NEXT(c, u);
}

void op_movx_store_aligned(SoftCpu *c, const Uop *u) {
        uint64_t va;

        need_sse(c, u);
        va = ea(c, u);
        if (unlikely(va & 15))
                cpu_raise_code(c, u, EXC_GP, 0);
        mem_write_bytes(c, u, va, &c->xmm[u->reg], 16);
        NEXT(c, u);
}

/* MOVSS, MOVSD: between registers only the low element moves; from memory the rest becomes 0. */
void op_mov_low_rr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        if (u->size == 2)
                c->xmm[u->reg].d[0] = c->xmm[u->rm].d[0];
        else
                c->xmm[u->reg].q[0] = c->xmm[u->rm].q[0];
        NEXT(c, u);
}

void op_mov_low_load(SoftCpu *c, const Uop *u) {
        uint64_t v;

        need_sse(c, u);
        v = u->size == 2 ? mem_read32(c, u, ea(c, u)) : mem_read64(c, u, ea(c, u));
        c->xmm[u->reg].q[0] = v;
        c->xmm[u->reg].q[1] = 0;
        NEXT(c, u);
}

void op_mov_low_store(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        if (u->size == 2)
                mem_write32(c, u, ea(c, u), c->xmm[u->reg].d[0]);
        else
                mem_write64(c, u, ea(c, u), c->xmm[u->reg].q[0]);
        NEXT(c, u);
}

/* MOVLPS, MOVHPS and the like; op: which half. */
void op_mov_half_load(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->xmm[u->reg].q[u->op] = mem_read64(c, u, ea(c, u));
        NEXT(c, u);
}

void op_mov_half_store(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        mem_write64(c, u, ea(c, u), c->xmm[u->reg].q[u->op]);
        NEXT(c, u);
}

void op_movhlps(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->xmm[u->reg].q[0] = c->xmm[u->rm].q[1];
        NEXT(c, u);
}

void op_movlhps(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->xmm[u->reg].q[1] = c->xmm[u->rm].q[0];
        NEXT(c, u);
}

void op_movd_from_gpr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->xmm[u->reg].q[0] = u->size == 3 ? c->r[u->rm] : (uint32_t) c->r[u->rm];
        c->xmm[u->reg].q[1] = 0;
        NEXT(c, u);
}

void op_movd_load(SoftCpu *c, const Uop *u) {
        op_mov_low_load(c, u);
}

void op_movd_to_gpr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->r[u->rm] = u->size == 3 ? c->xmm[u->reg].q[0] : c->xmm[u->reg].d[0];
        NEXT(c, u);
}

void op_movd_store(SoftCpu *c, const Uop *u) {
        op_mov_low_store(c, u);
}

/* MOVQ between registers: @reg from @rm, upper half cleared. */
void op_movq_rr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        c->xmm[u->reg].q[0] = c->xmm[u->rm].q[0];
        c->xmm[u->reg].q[1] = 0;
        NEXT(c, u);
}

/* Stores those of @n bytes whose mask has its high bit set. All must be writable, as processors have it. */
static void masked_store(SoftCpu *c, const Uop *u, const uint8_t *bytes, const uint8_t *mask,
                         unsigned n) {
        Uop at = *u;
        uint64_t va;

        at.base = RDI;
        at.index = REG_ZERO;
        at.disp = 0;
        va = ea_slow(c, &at);
        for (unsigned i = 0; i < n; i += 8)
                (void) mem_begin(c, u, va + i, 8);
        c->post_write = 0;
        for (unsigned i = 0; i < n; i++)
                if (mask[i] & 0x80)
                        mem_write8(c, u, va + i, bytes[i]);
}

void op_maskmovdqu(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        masked_store(c, u, c->xmm[u->reg].b, c->xmm[u->rm].b, 16);
        NEXT(c, u);
}

/* ---- MMX ---- */

void op_mmx_rr(SoftCpu *c, const Uop *u) {
        need_mmx(c, u);
        (void) THUNK(u)(NULL, NULL, NULL);
        NEXT(c, u);
}

void op_mmx_rm(SoftCpu *c, const Uop *u) {
        void *src;

        need_mmx(c, u);
        src = u->size == 5 ? (void *) &c->xmm[u->rm] : sse_operand(c, u);
        (void) THUNK(u)(NULL, src, NULL);
        NEXT(c, u);
}

/* CVT(T)PS2PI, CVT(T)PD2PI: a fault must leave the register as it was, so it is taken from a copy. */
void op_sse_to_mmx(SoftCpu *c, const Uop *u) {
        uint8_t keep[512] __attribute__((aligned(16)));
        void *src;

        need_sse(c, u);
        need_mmx(c, u);
        src = u->size == 5 ? (void *) &c->xmm[u->rm] : sse_operand(c, u);
        if (!UNMASKED(c)) {
                (void) THUNK(u)(NULL, src, NULL);
                NEXT(c, u);
        }
        __asm__ volatile("fxsave64 %0" : "=m"(keep));
        sse_begin(c);
        (void) THUNK(u)(NULL, src, NULL);
        if (sse_end(c, 0)) {
                uint32_t mxcsr = host_mxcsr();

                __asm__ volatile("fxrstor64 %0" : : "m"(keep));
                __builtin_ia32_ldmxcsr(mxcsr);
                sse_fault(c, u);
        }
        NEXT(c, u);
}

/* The store must be known to work before the instruction touches the x87's tags. */
void op_mmx_store(SoftCpu *c, const Uop *u) {
        uint8_t *p;

        need_mmx(c, u);
        p = mem_begin(c, u, ea(c, u), 1u << u->size);
        (void) THUNK(u)(NULL, p, NULL);
        mem_end(c, u);
        NEXT(c, u);
}

void op_maskmovq(SoftCpu *c, const Uop *u) {
        uint8_t zeros[8], ones[8], mask[8];

        need_mmx(c, u);
        memset(zeros, 0, sizeof(zeros));
        memset(ones, 0xff, sizeof(ones));
        (void) THUNK(u)(zeros, NULL, NULL);
        (void) THUNK(u)(ones, NULL, NULL);
        for (unsigned i = 0; i < 8; i++) /* what is stored does not depend on what was there */
                mask[i] = zeros[i] == ones[i] ? 0x80 : 0;
        masked_store(c, u, zeros, mask, 8);
        NEXT(c, u);
}

void op_mmx_to_gpr(SoftCpu *c, const Uop *u) {
        need_mmx(c, u);
        c->r[u->reg] = THUNK(u)(NULL, NULL, NULL);
        if (u->size == 2)
                c->r[u->reg] = (uint32_t) c->r[u->reg];
        NEXT(c, u);
}

void op_mmx_from_gpr(SoftCpu *c, const Uop *u) {
        need_mmx(c, u);
        c->tmp[0].q[0] = c->r[u->rm];
        (void) THUNK(u)(NULL, &c->tmp[0], NULL);
        NEXT(c, u);
}

void op_movq2dq(SoftCpu *c, const Uop *u) {
        need_mmx(c, u);
        (void) THUNK(u)(NULL, &c->xmm[u->reg], NULL); /* movq %mmN, (%rsi) */
        c->xmm[u->reg].q[1] = 0;
        NEXT(c, u);
}

void op_movdq2q(SoftCpu *c, const Uop *u) {
        need_mmx(c, u);
        (void) THUNK(u)(NULL, &c->xmm[u->rm], NULL); /* movq (%rsi), %mmN */
        NEXT(c, u);
}

/* ---- x87; op: bytes of the memory operand ---- */

void op_x87_r(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        (void) THUNK(u)(NULL, NULL, NULL);
        NEXT(c, u);
}

void op_x87_load(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        mem_read_bytes(c, u, ea(c, u), &c->tmp[0], u->op);
        (void) THUNK(u)(NULL, &c->tmp[0], NULL);
        NEXT(c, u);
}

/* The store must be known to work before the instruction pops. */
void op_x87_store(SoftCpu *c, const Uop *u) {
        uint8_t *p;

        need_x87_wait(c, u);
        p = mem_begin(c, u, ea(c, u), u->op);
        (void) THUNK(u)(NULL, p, NULL);
        mem_end(c, u);
        NEXT(c, u);
}

/** fpu_control_changed() - the x87 has another control word: while all exceptions are masked and none is pending, none can become so */
void fpu_control_changed(SoftCpu *c) {
        uint16_t cw, sw;

        __asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(cw), "=m"(sw));
        c->x87_watch = (cw & 0x3f) != 0x3f || (sw & 0x80);
}

void op_x87_fldcw(SoftCpu *c, const Uop *u) {
        uint16_t v;

        need_x87_wait(c, u);
        v = mem_read16(c, u, ea(c, u));
        __asm__ volatile("fldcw %0" : : "m"(v));
        fpu_control_changed(c);
        NEXT(c, u);
}

void op_x87_fnstcw(SoftCpu *c, const Uop *u) {
        uint16_t cw;

        need_x87(c, u);
        __asm__ volatile("fnstcw %0" : "=m"(cw));
        mem_write16(c, u, ea(c, u), cw);
        NEXT(c, u);
}

static uint16_t status_word(void) {
        uint16_t sw;

        __asm__ volatile("fnstsw %0" : "=m"(sw));
        return sw;
}

void op_x87_fnstsw_m(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        mem_write16(c, u, ea(c, u), status_word());
        NEXT(c, u);
}

void op_x87_fnstsw_ax(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        R16(c, RAX) = status_word();
        NEXT(c, u);
}

void op_x87_fninit(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        __asm__ volatile("fninit");
        c->x87_watch = false;
        NEXT(c, u);
}

void op_x87_fnclex(SoftCpu *c, const Uop *u) {
        need_x87(c, u);
        __asm__ volatile("fnclex");
        NEXT(c, u);
}

void op_x87_fwait(SoftCpu *c, const Uop *u) {
        if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
                cpu_raise(c, u, EXC_NM);
        check_pending(c, u);
        NEXT(c, u);
}

void op_x87_fcmov(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        (void) THUNK(u)(NULL, NULL, &c->af);
        NEXT(c, u);
}

void op_x87_fcomi(SoftCpu *c, const Uop *u) {
        need_x87_wait(c, u);
        /* CF, PF and ZF come out, OF, SF and AF are cleared: what the host leaves. */
        c->af = (uint32_t) THUNK(u)(NULL, NULL, NULL);
        NEXT(c, u);
}

/* Environments carry addresses of the last instruction and operand: the host's must not be seen. */
#define ENV_SIZE 28u
#define ENV_SIZE_16 14u
#define X87_REGISTERS 80u

static unsigned env_size(const Uop *u) {
        return u->size == 1 ? ENV_SIZE_16 : ENV_SIZE;
}

static void patch_environment(const Uop *u, uint8_t *env) {
        if (u->size == 1) {
                memset(env + 6, 0, 8);
                return;
        }
        memset(env + 12, 0, 16);
        env[2] = env[3] = env[6] = env[7] = env[10] = env[11] = 0xff;
        env[26] = env[27] = 0xff;
}

void op_x87_fnstenv(SoftCpu *c, const Uop *u) {
        uint8_t env[ENV_SIZE];
        uint64_t va;

        need_x87(c, u);
        va = ea(c, u);
        (void) mem_begin(c, u, va, env_size(u));
        c->post_write = 0;
        /* Masks all exceptions, too. */
        if (u->size == 1)
                __asm__ volatile("data16 fnstenv %0" : "=m"(env));
        else
                __asm__ volatile("fnstenv %0" : "=m"(env));
        fpu_control_changed(c);
        patch_environment(u, env);
        mem_write_bytes(c, u, va, env, env_size(u));
        NEXT(c, u);
}

void op_x87_fldenv(SoftCpu *c, const Uop *u) {
        uint8_t env[ENV_SIZE];

        need_x87_wait(c, u);
        mem_read_bytes(c, u, ea(c, u), env, env_size(u));
        if (u->size == 1)
                __asm__ volatile("data16 fldenv %0" : : "m"(env));
        else
                __asm__ volatile("fldenv %0" : : "m"(env));
        fpu_control_changed(c);
        NEXT(c, u);
}

void op_x87_fnsave(SoftCpu *c, const Uop *u) {
        uint8_t image[ENV_SIZE + X87_REGISTERS];
        unsigned size = env_size(u) + X87_REGISTERS;
        uint64_t va;

        need_x87(c, u);
        va = ea(c, u);
        /* Both ends are writable before anything changes. */
        mem_need_aligned(c, u, va, size);
        (void) mem_begin(c, u, va, 1);
        (void) mem_begin(c, u, va + size - 1, 1);
        c->post_write = 0;
        /* Initialises, too. */
        if (u->size == 1)
                __asm__ volatile("data16 fnsave %0" : "=m"(image));
        else
                __asm__ volatile("fnsave %0" : "=m"(image));
        fpu_control_changed(c);
        patch_environment(u, image);
        mem_write_bytes(c, u, va, image, size);
        NEXT(c, u);
}

void op_x87_frstor(SoftCpu *c, const Uop *u) {
        uint8_t image[ENV_SIZE + X87_REGISTERS];

        need_x87_wait(c, u);
        mem_read_bytes(c, u, ea(c, u), image, env_size(u) + X87_REGISTERS);
        if (u->size == 1)
                __asm__ volatile("data16 frstor %0" : : "m"(image));
        else
                __asm__ volatile("frstor %0" : : "m"(image));
        fpu_control_changed(c);
        NEXT(c, u);
}

/* ---- control and status of SSE ---- */

#define MXCSR_MASK 0xffffu

static void load_mxcsr(SoftCpu *c, const Uop *u, uint32_t v) {
        if (v & ~MXCSR_MASK)
                cpu_raise_code(c, u, EXC_GP, 0);
        c->mxcsr = v;
        __builtin_ia32_ldmxcsr(v | 0x1f80);
}

void op_ldmxcsr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        load_mxcsr(c, u, mem_read32(c, u, ea(c, u)));
        NEXT(c, u);
}

void op_stmxcsr(SoftCpu *c, const Uop *u) {
        need_sse(c, u);
        mem_write32(c, u, ea(c, u), c->mxcsr | (host_mxcsr() & 0x3f));
        NEXT(c, u);
}

/* ---- CRC32 (SSE4.2) ---- */

static uint32_t crc32_bytes(uint32_t crc, uint64_t v, unsigned size) {
        if (size == 0)
                __asm__("crc32b %1, %0" : "+r"(crc) : "r"((uint8_t) v));
        else if (size == 1)
                __asm__("crc32w %1, %0" : "+r"(crc) : "r"((uint16_t) v));
        else if (size == 2)
                __asm__("crc32l %1, %0" : "+r"(crc) : "r"((uint32_t) v));
        else {
                uint64_t wide = crc;

                __asm__("crc32q %1, %0" : "+r"(wide) : "r"(v));
                crc = (uint32_t) wide;
        }
        return crc;
}

void op_crc32_r(SoftCpu *c, const Uop *u) {
        c->r[u->reg] = crc32_bytes((uint32_t) c->r[u->reg],
                                   u->size == 0 ? R8(c, u->rm) : c->r[u->rm], u->size);
        NEXT(c, u);
}

void op_crc32_m(SoftCpu *c, const Uop *u) {
        uint64_t v = mem_read_slow(c, u, ea(c, u), 1u << u->size);

        c->r[u->reg] = crc32_bytes((uint32_t) c->r[u->reg], v, u->size);
        NEXT(c, u);
}
