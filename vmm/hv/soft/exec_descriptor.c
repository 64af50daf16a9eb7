/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptor tables, and what asks about a descriptor without loading it. */
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"
#include "vmm/hv/soft/privilege.h"

static void load_table(SoftCpu *c, const Uop *u, uint64_t *base, uint16_t *limit) {
        uint64_t va = ea(c, u), b;
        uint16_t l;

        need_cpl0(c, u);
        l = mem_read16(c, u, va);
        if (cpu_code64(c)) {
                b = mem_read64(c, u, va + 2);
                if (!is_canonical(b))
                        cpu_raise_code(c, u, EXC_GP, 0);
        } else {
                b = mem_read32(c, u, va + 2);
                if (u->size == 1)
                        b &= 0xffffff;
        }
        *base = b;
        *limit = l;
}

static void store_table(SoftCpu *c, const Uop *u, uint64_t base, uint16_t limit) {
        const unsigned bytes = cpu_code64(c) ? 8 : 4;
        uint64_t va;

        need_umip(c, u);
        va = ea(c, u);
        (void) mem_begin(c, u, va, 2); /* both or none */
        (void) mem_begin(c, u, va + 2, bytes);
        c->post_write = 0;
        mem_write16(c, u, va, limit);
        mem_write_bytes(c, u, va + 2, &base, bytes);
}

void op_lgdt(SoftCpu *c, const Uop *u) {
        load_table(c, u, &c->gdt_base, &c->gdt_limit);
        NEXT(c, u);
}
void op_lidt(SoftCpu *c, const Uop *u) {
        load_table(c, u, &c->idt_base, &c->idt_limit);
        NEXT(c, u);
}
void op_sgdt(SoftCpu *c, const Uop *u) {
        store_table(c, u, c->gdt_base, c->gdt_limit);
        NEXT(c, u);
}
void op_sidt(SoftCpu *c, const Uop *u) {
        store_table(c, u, c->idt_base, c->idt_limit);
        NEXT(c, u);
}

/* Instructions about descriptors are invalid where there are none. */
static void need_descriptors(SoftCpu *c, const Uop *u) {
        if (!cpu_descriptors(c))
                cpu_raise(c, u, EXC_UD);
}

static void lldt(SoftCpu *c, const Uop *u, uint16_t selector) {
        if ((selector & ~3u) == 0)
                c->ldtr = (Segment){.selector = selector};
        else
                segment_load_descriptor(c, u, &c->ldtr, selector, 2);
}

static void ltr(SoftCpu *c, const Uop *u, uint16_t selector) {
        if ((selector & ~3u) == 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        segment_load_descriptor(c, u, &c->tr, selector, 9);
}

void op_lldt_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u);
        lldt(c, u, R16(c, u->rm));
        NEXT(c, u);
}
void op_lldt_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u); /* before the operand is touched */
        lldt(c, u, mem_read16(c, u, ea(c, u)));
        NEXT(c, u);
}
void op_ltr_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u);
        ltr(c, u, R16(c, u->rm));
        NEXT(c, u);
}
void op_ltr_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u);
        ltr(c, u, mem_read16(c, u, ea(c, u)));
        NEXT(c, u);
}
void op_sldt_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        set_reg(c, u->size, u->rm, c->ldtr.selector);
        NEXT(c, u);
}
void op_sldt_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        mem_write16(c, u, ea(c, u), c->ldtr.selector);
        NEXT(c, u);
}
void op_str_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        set_reg(c, u->size, u->rm, c->tr.selector);
        NEXT(c, u);
}
void op_str_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        mem_write16(c, u, ea(c, u), c->tr.selector);
        NEXT(c, u);
}

/* Whether the caller may see the descriptor; VERR, VERW, LAR, LSL. */
static bool visible(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t *ret) {
        unsigned type, dpl;

        if ((selector & ~3u) == 0 || !descriptor_read(c, u, selector, ret))
                return false;
        type = (unsigned) (*ret >> 40) & 0x1f;
        dpl = (unsigned) (*ret >> 45) & 3;
        return (type & 0x1c) == 0x1c || (c->cpl <= dpl && (selector & 3u) <= dpl);
}

static void verify(SoftCpu *c, const Uop *u, uint16_t selector, bool write) {
        bool ok = false;
        uint64_t d;

        if (visible(c, u, selector, &d) && (d >> 44 & 1)) {
                unsigned type = (unsigned) (d >> 40) & 0xf;

                ok = write ? !(type & 8) && (type & 2) : !(type & 8) || (type & 2);
        }
        set_zf(c, ok);
}

void op_verr_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, R16(c, u->rm), false);
        NEXT(c, u);
}
void op_verr_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, mem_read16(c, u, ea(c, u)), false);
        NEXT(c, u);
}
void op_verw_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, R16(c, u->rm), true);
        NEXT(c, u);
}
void op_verw_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, mem_read16(c, u, ea(c, u)), true);
        NEXT(c, u);
}

static void lar_lsl(SoftCpu *c, const Uop *u, uint16_t selector, bool limit) {
        /* System types that LAR and LSL accept, by bit. */
        uint32_t lar_types = cpu_long_mode(c) ? 0x1a04u : 0x1a3eu,
                 lsl_types = cpu_long_mode(c) ? 0x0a04u : 0x0a0eu;
        bool ok = false;
        uint64_t d = 0;

        if (visible(c, u, selector, &d))
                ok = (d >> 44 & 1) || ((limit ? lsl_types : lar_types) >> (d >> 40 & 0xf) & 1);
        if (ok) {
                Segment s;

                segment_from_descriptor(&s, selector, d);
                set_reg(c, u->size, u->reg, limit ? s.limit : (d >> 32) & 0x00f0ff00u);
        }
        set_zf(c, ok);
}

void op_lar_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, R16(c, u->rm), false);
        NEXT(c, u);
}
void op_lar_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, mem_read16(c, u, ea(c, u)), false);
        NEXT(c, u);
}
void op_lsl_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, R16(c, u->rm), true);
        NEXT(c, u);
}
void op_lsl_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, mem_read16(c, u, ea(c, u)), true);
        NEXT(c, u);
}

static void arpl(SoftCpu *c, const Uop *u, uint16_t *dst) {
        uint16_t src = R16(c, u->reg);
        bool raise = (*dst & 3) < (src & 3);

        if (raise)
                *dst = (uint16_t) ((*dst & ~3u) | (src & 3));
        set_zf(c, raise);
}

void op_arpl_r(SoftCpu *c, const Uop *u) {
        uint16_t v = R16(c, u->rm);

        need_descriptors(c, u);
        arpl(c, u, &v);
        R16(c, u->rm) = v;
        NEXT(c, u);
}
void op_arpl_m(SoftCpu *c, const Uop *u) {
        u16u *p;
        uint16_t v;

        need_descriptors(c, u);
        p = (u16u *) mem_begin(c, u, ea(c, u), 2);
        v = *p;
        arpl(c, u, &v);
        *p = v;
        mem_end(c, u);
        NEXT(c, u);
}
