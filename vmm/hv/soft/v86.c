/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual-8086 mode (SDM volume 3, 20.2): privilege 3 with the segments of real mode. Its extensions (VME) are not
 * offered. What it may not do without IOPL 3 is asked by v86_need_iopl().
 */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/operand.h"

#define V86_LIMIT 0xffffu
#define V86_ATTR 0xf3u /* present, privilege 3, writable data, accessed */

/** v86_set_segment() - what loading a segment register does in this mode */
void v86_set_segment(SoftCpu *c, unsigned seg, uint16_t selector) {
        c->seg[seg] = (Segment){.selector = selector,
                                .base = (uint32_t) selector << 4,
                                .limit = V86_LIMIT,
                                .attr = V86_ATTR};
}

/** v86_need_iopl() - #GP in virtual-8086 mode unless IOPL is 3: INT n, IRET, PUSHF, POPF */
void v86_need_iopl(SoftCpu *c, const Uop *u) {
        if (unlikely(cpu_v86(c)) && (c->flags & FLAG_IOPL) != FLAG_IOPL)
                cpu_raise_code(c, u, EXC_GP, 0);
}

/** v86_enter() - all segment registers, by number, and the privilege, once EFLAGS.VM is set */
void v86_enter(SoftCpu *c, const uint16_t selectors[N_SEGS]) {
        for (unsigned i = 0; i < N_SEGS; i++)
                v86_set_segment(c, i, selectors[i]);
        c->cpl = 3;
        cpu_mode_changed(c);
}

/**
 * v86_return_to() - IRET of privilege 0 with 32-bit operands, to virtual-8086 mode
 * @eip, @cs, @eflags: the first three words of the frame, with EFLAGS.VM; six more follow
 *
 * Faults, with nothing changed.
 */
void v86_return_to(SoftCpu *c, const Uop *u, uint32_t eip, uint16_t cs, uint32_t eflags) {
        static const unsigned order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
        uint16_t selectors[N_SEGS] = {[SEG_CS] = cs};
        const uint64_t sp = c->r[RSP] + 12;
        const uint32_t esp = (uint32_t) mem_read_slow(c, u, stack_address(c, u, sp, 4), 4);

        for (unsigned i = 0; i < ELEMENTSOF(order); i++)
                selectors[order[i]] =
                        (uint16_t) mem_read_slow(c, u, stack_address(c, u, sp + 4 + i * 4, 4), 4);
        if (eip > V86_LIMIT)
                cpu_raise_code(c, u, EXC_GP, 0);
        cpu_set_flags(c, eflags, UINT32_MAX);
        v86_enter(c, selectors);
        c->r[RSP] = esp;
        c->rip = eip;
}

/** v86_leave() - an interrupt goes to privilege 0, which finds no data segments; EFLAGS.VM is cleared by the caller */
void v86_leave(SoftCpu *c) {
        static const unsigned segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

        for (unsigned i = 0; i < ELEMENTSOF(segs); i++)
                c->seg[segs[i]] = (Segment){0};
}
