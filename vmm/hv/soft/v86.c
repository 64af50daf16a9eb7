/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual-8086 mode (SDM volume 3, chapter 20): privilege 3 with the segments of real mode. With its extensions (CR4.VME)
 * a program without IOPL 3 has an interrupt flag of its own, EFLAGS.VIF, and handles the software interrupts itself that
 * the task-state segment says; CR4.PVI gives user programs of protected mode that flag, for CLI and STI.
 */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/operand.h"

#define V86_LIMIT 0xffffu
#define V86_ATTR 0xf3u /* present, privilege 3, writable data, accessed */

#define TSS_TYPE32 8u
#define TSS_LIMIT_MIN 103u
#define TSS_IO_MAP_BASE 102u
#define REDIRECTION_BYTES 32u /* right before the I/O permission map */

/** v86_set_segment() - what loading a segment register does in this mode */
void v86_set_segment(SoftCpu *c, unsigned seg, uint16_t selector) {
        c->seg[seg] = (Segment){.selector = selector,
                                .base = (uint32_t) selector << 4,
                                .limit = V86_LIMIT,
                                .attr = V86_ATTR};
}

static bool has_iopl(const SoftCpu *c) {
        return (c->flags & FLAG_IOPL) == FLAG_IOPL;
}

/** v86_has_vif() - whether EFLAGS.VIF is the interrupt flag of the program that runs */
bool v86_has_vif(const SoftCpu *c) {
        return c->cpl == 3 && !has_iopl(c) && (c->cr4 & (cpu_v86(c) ? CR4_VME : CR4_PVI));
}

/** v86_sti() - STI where v86_has_vif(); #GP when an interrupt waits for it */
void v86_sti(SoftCpu *c, const Uop *u) {
        if (c->flags & FLAG_VIP)
                cpu_raise_code(c, u, EXC_GP, 0);
        c->flags |= FLAG_VIF;
}

/**
 * v86_vif_is_if() - whether PUSHF, POPF or IRET is one of virtual-8086 mode that means VIF where it says IF
 *
 * Faults where such an instruction may not be executed: without IOPL 3, unless it is one of 16 bits and there is VME.
 */
bool v86_vif_is_if(SoftCpu *c, const Uop *u) {
        if (likely(!cpu_v86(c)) || has_iopl(c))
                return false;
        if (!(c->cr4 & CR4_VME) || u->size != 1)
                cpu_raise_code(c, u, EXC_GP, 0);
        return true;
}

/** v86_flags() - what PUSHF shows where v86_vif_is_if() */
uint32_t v86_flags(const SoftCpu *c) {
        const uint32_t flags = cpu_flags(c);

        return (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
}

/** v86_set_flags() - what POPF and IRET of 16 bits do where v86_vif_is_if(); faults, with nothing changed */
void v86_set_flags(SoftCpu *c, const Uop *u, uint32_t flags) {
        const uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_VIF;

        if ((flags & FLAG_TF) || ((flags & FLAG_IF) && (c->flags & FLAG_VIP)))
                cpu_raise_code(c, u, EXC_GP, 0);
        cpu_set_flags(c, (flags & ~FLAG_VIF) | (flags & FLAG_IF ? FLAG_VIF : 0), mask);
}

/** v86_task_flags() - the bits of EFLAGS that privilege 0 gives a task */
uint32_t v86_task_flags(const SoftCpu *c) {
        const uint32_t vif = soft_has(c, CPU_FEATURE_VME) ? FLAG_VIF | FLAG_VIP : 0;

        return FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM |
               FLAG_AC | FLAG_ID | vif;
}

/** v86_check_pending() - #GP before the next instruction when a program is entered that an interrupt waits for and that takes interrupts */
void v86_check_pending(SoftCpu *c) {
        const uint32_t both = FLAG_VIF | FLAG_VIP;

        if (unlikely((c->flags & both) == both) && v86_has_vif(c))
                cpu_raise_code(c, NULL, EXC_GP, 0);
}

/* Whether INT n goes to the program's own handler. */
static bool is_redirected(SoftCpu *c, const Uop *u, unsigned vector) {
        uint32_t at;

        if (!(c->cr4 & CR4_VME))
                return false;
        if (!(c->tr.attr & TSS_TYPE32) || c->tr.limit < TSS_LIMIT_MIN)
                cpu_raise_code(c, u, EXC_GP, 0);
        at = (uint32_t) mem_read_system(c, u, c->tr.base + TSS_IO_MAP_BASE, 2) - REDIRECTION_BYTES +
             vector / 8;
        if (at > c->tr.limit)
                cpu_raise_code(c, u, EXC_GP, 0);
        return !(mem_read_system(c, u, c->tr.base + at, 1) >> vector % 8 & 1);
}

/**
 * v86_interrupt() - INT n of virtual-8086 mode, as far as it is not the business of the IDT
 *
 * Faults where it is not allowed. Return: whether it was done, by the handler in the table at linear address 0.
 */
bool v86_interrupt(SoftCpu *c, const Uop *u, unsigned vector) {
        const uint64_t sp = c->r[RSP];
        uint32_t target;

        if (!is_redirected(c, u, vector)) {
                if (!has_iopl(c))
                        cpu_raise_code(c, u, EXC_GP, 0);
                return false;
        }
        target = (uint32_t) mem_read_system(c, u, vector * 4, 4);
        mem_write_slow(c, u, stack_address(c, u, sp - 2, 2), 2,
                       has_iopl(c) ? cpu_flags(c) : v86_flags(c));
        mem_write_slow(c, u, stack_address(c, u, sp - 4, 2), 2, c->seg[SEG_CS].selector);
        mem_write_slow(c, u, stack_address(c, u, sp - 6, 2), 2, uop_next_rip(c, u));
        stack_set(c, stack_mask(c), sp - 6);
        c->flags &= ~(FLAG_TF | FLAG_RF | (has_iopl(c) ? FLAG_IF : FLAG_VIF));
        segment_set_real(c, SEG_CS, (uint16_t) (target >> 16));
        c->rip = target & 0xffff;
        return true;
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
        cpu_set_flags(c, eflags, v86_task_flags(c));
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
