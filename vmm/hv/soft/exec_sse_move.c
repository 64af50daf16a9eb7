/* SPDX-License-Identifier: Apache-2.0 */
/* Moves between XMM registers, general registers and memory. */
#include "vmm/hv/soft/fpu.h"
#include "vmm/hv/soft/handlers.h"

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

/** masked_store() - stores those of @n bytes whose mask has its high bit set. All must be writable, as processors have it. */
void masked_store(SoftCpu *c, const Uop *u, const uint8_t *bytes, const uint8_t *mask, unsigned n) {
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
