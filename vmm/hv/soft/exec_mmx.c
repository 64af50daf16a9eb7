/* SPDX-License-Identifier: Apache-2.0 */
/* MMX, and what goes between its registers and SSE's. */
#include <string.h>

#include "vmm/hv/soft/fpu.h"
#include "vmm/hv/soft/handlers.h"

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
