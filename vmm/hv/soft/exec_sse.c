/* SPDX-License-Identifier: Apache-2.0 */
/* SSE with a result, its control and status, and CRC32. */
#include "vmm/hv/soft/fpu.h"

#include <string.h>
#include "vmm/hv/soft/handlers.h"

/* Unmasked underflow means a tiny result and nothing else: it does not have to be inexact, and none is flushed. */
#define MXCSR_UM 0x800u
#define MXCSR_UE 0x10u
#define MXCSR_FZ 0x8000u

/** sse_begin() - before an instruction whose exceptions count: the host's flags are put by, its result is not flushed */
void sse_begin(SoftCpu *c) {
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

/**
 * sse_end() - after it
 * @tiny: MXCSR_UE where the result was tiny and that counts
 * Return: whether an unmasked exception was raised, so that there is no result
 */
bool sse_end(SoftCpu *c, uint32_t tiny) {
        uint32_t raised = (host_mxcsr() & 0x3f) | tiny;

        if (raised & MXCSR_BEFORE & ~(c->mxcsr >> 7))
                raised &= MXCSR_BEFORE;
        c->mxcsr |= raised;
        __builtin_ia32_ldmxcsr(c->mxcsr | 0x1f80);
        return raised & ~(c->mxcsr >> 7) & 0x3f;
}

/** sse_fault() - the exception of an unmasked exception */
_Noreturn void sse_fault(SoftCpu *c, const Uop *u) {
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
