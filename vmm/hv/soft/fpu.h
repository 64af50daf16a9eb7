/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * x87, MMX and SSE. The guest's x87 and MMX registers live in the host's while the guest runs, because nothing else on
 * this thread uses them; XMM registers live in memory, because the compiler does use those. The x87's control word is
 * the guest's with its masks: an exception stays pending until the guest's next waiting instruction, and no such
 * instruction is executed before need_x87_wait() has looked. The host's MXCSR has the guest's rounding and all
 * exceptions masked; its sticky flags accumulate where they arise.
 */
#include "vmm/hv/soft/access.h"

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

/* exec_sse.c */
void sse_begin(SoftCpu *c);
bool sse_end(SoftCpu *c, uint32_t tiny);
_Noreturn void sse_fault(SoftCpu *c, const Uop *u);

/* exec_sse_move.c */
void masked_store(SoftCpu *c, const Uop *u, const uint8_t *bytes, const uint8_t *mask, unsigned n);
