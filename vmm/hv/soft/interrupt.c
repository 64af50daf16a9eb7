/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery of exceptions and interrupts through the IDT (SDM volume 3 chapter 6). */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/operand.h"

#define GATE_TASK 0x5u
#define GATE_INTERRUPT16 0x6u
#define GATE_TRAP16 0x7u
#define GATE_INTERRUPT32 0xeu
#define GATE_TRAP32 0xfu

static void deliver_real(SoftCpu *c, unsigned vector, uint64_t return_rip) {
        uint32_t flags = cpu_flags(c);
        uint64_t sp = c->r[RSP], ss = c->seg[SEG_SS].base;
        uint32_t target;

        if (vector * 4 + 3 > c->idt_limit)
                cpu_raise_code(c, NULL, EXC_GP, 0);
        target = (uint32_t) mem_read_system(c, NULL, c->idt_base + vector * 4, 4);
        mem_write_system(c, NULL, ss + ((sp - 2) & 0xffff), 2, flags);
        mem_write_system(c, NULL, ss + ((sp - 4) & 0xffff), 2, c->seg[SEG_CS].selector);
        mem_write_system(c, NULL, ss + ((sp - 6) & 0xffff), 2, return_rip);
        c->r[RSP] = (sp & ~UINT64_C(0xffff)) | ((sp - 6) & 0xffff);
        c->flags &= ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
        segment_set_real(c, SEG_CS, (uint16_t) (target >> 16));
        c->rip = target & 0xffff;
}

/* An event on its way. */
typedef struct Event {
        unsigned vector, ext; /* ext: of error codes */
        bool software, has_code;
        uint32_t code;
        uint64_t return_rip;
} Event;

/* Where a gate leads to. */
typedef struct Target {
        unsigned type, ist, dpl; /* dpl: the privilege that the handler gets */
        uint16_t selector;
        uint64_t offset, code; /* code: the descriptor */
} Target;

static bool is_gate(const SoftCpu *c, unsigned type) {
        if (type == GATE_INTERRUPT32 || type == GATE_TRAP32)
                return true;
        return !cpu_long_mode(c) &&
               (type == GATE_TASK || type == GATE_INTERRUPT16 || type == GATE_TRAP16);
}

/* The gate's first 8 bytes. */
static uint64_t read_gate(SoftCpu *c, const Event *event) {
        const unsigned entry = cpu_long_mode(c) ? 16 : 8;
        const uint32_t error = event->vector * 8 + 2 + event->ext;
        uint64_t gate;

        if (event->vector * entry + entry - 1 > c->idt_limit)
                cpu_raise_code(c, NULL, EXC_GP, error);
        gate = mem_read_system(c, NULL, c->idt_base + event->vector * entry, 8);
        if (!is_gate(c, (unsigned) (gate >> 40) & 0x1f))
                cpu_raise_code(c, NULL, EXC_GP, error);
        if (event->software && ((gate >> 45) & 3) < c->cpl)
                cpu_raise_code(c, NULL, EXC_GP, error);
        if (!(gate >> 47 & 1))
                cpu_raise_code(c, NULL, EXC_NP, error);
        return gate;
}

/* The code behind the gate. From virtual-8086 mode it must be privilege 0's own. */
static void find_code(SoftCpu *c, const Event *event, Target *t) {
        const uint32_t error = (t->selector & ~3u) | event->ext;
        uint64_t d;

        if ((t->selector & ~3u) == 0)
                cpu_raise_code(c, NULL, EXC_GP, event->ext);
        if (!descriptor_read(c, NULL, t->selector, &d))
                cpu_raise_code(c, NULL, EXC_GP, error);
        t->dpl = (unsigned) (d >> 45) & 3;
        if (!(d >> 44 & 1) || !(d >> 43 & 1) || t->dpl > c->cpl ||
            (cpu_long_mode(c) && !(d >> 53 & 1)))
                cpu_raise_code(c, NULL, EXC_GP, error);
        if (!(d >> 47 & 1))
                cpu_raise_code(c, NULL, EXC_NP, error);
        if (cpu_v86(c) && (t->dpl != 0 || (d >> 42 & 1)))
                cpu_raise_code(c, NULL, EXC_GP, error);
        if (d >> 42 & 1) /* conforming */
                t->dpl = c->cpl;
        segment_set_accessed(c, NULL, t->selector, &d);
        t->code = d;
}

static void find_target(SoftCpu *c, const Event *event, uint64_t gate, Target *ret) {
        *ret = (Target){.type = (unsigned) (gate >> 40) & 0x1f,
                        .selector = (uint16_t) (gate >> 16),
                        .offset = (gate & 0xffff) | (gate >> 32 & 0xffff0000)};
        if (cpu_long_mode(c)) {
                ret->offset |= mem_read_system(c, NULL, c->idt_base + event->vector * 16 + 8, 4)
                               << 32;
                ret->ist = (unsigned) (gate >> 32) & 7;
        } else if (ret->type == GATE_INTERRUPT16 || ret->type == GATE_TRAP16) {
                ret->offset &= 0xffff;
        }
        find_code(c, event, ret);
}

/* The interrupt stack that a gate of long mode names. */
static uint64_t ist_pointer(SoftCpu *c, unsigned ist, unsigned ext) {
        const unsigned at = 36 + (ist - 1) * 8;

        if (at + 7 > c->tr.limit)
                cpu_raise_code(c, NULL, EXC_TS, (c->tr.selector & ~3u) | ext);
        return mem_read_system(c, NULL, c->tr.base + at, 8);
}

/* What the handler finds, in the order of pushing. */
static void make_frame(SoftCpu *c, const Event *event, bool inner, StackFrame *f) {
        static const unsigned segs[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};

        f->n = 0;
        if (cpu_v86(c))
                for (unsigned i = 0; i < ELEMENTSOF(segs); i++)
                        f->values[f->n++] = c->seg[segs[i]].selector;
        if (cpu_long_mode(c) || inner) {
                f->values[f->n++] = c->seg[SEG_SS].selector;
                f->values[f->n++] = c->r[RSP];
        }
        f->values[f->n++] = cpu_flags(c);
        f->values[f->n++] = c->seg[SEG_CS].selector;
        f->values[f->n++] = event->return_rip;
        if (event->has_code)
                f->values[f->n++] = event->code;
}

/* Nothing faults any more. */
static void enter_handler(SoftCpu *c, const Target *t, const Segment *stack, uint64_t sp) {
        if (cpu_v86(c))
                v86_leave(c);
        segment_from_descriptor(&c->seg[SEG_CS], (uint16_t) ((t->selector & ~3u) | t->dpl),
                                t->code);
        c->cpl = (uint8_t) t->dpl;
        c->seg[SEG_SS] = *stack;
        c->flags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
        if (t->type == GATE_INTERRUPT32 || t->type == GATE_INTERRUPT16)
                c->flags &= ~FLAG_IF;
        cpu_mode_changed(c);
        stack_set(c, stack_mask(c), sp);
        c->rip = t->offset;
}

static void deliver_protected(SoftCpu *c, const Event *event) {
        const uint64_t gate = read_gate(c, event);
        Segment stack = c->seg[SEG_SS];
        StackFrame f;
        Target t;
        bool inner;

        if (((gate >> 40) & 0x1f) == GATE_TASK) {
                task_switch(c, NULL,
                            &(TaskSwitch){.cause = TASK_EVENT,
                                          .selector = (uint16_t) (gate >> 16),
                                          .next_rip = event->return_rip,
                                          .ext = event->ext,
                                          .has_code = event->has_code,
                                          .code = event->code});
                return;
        }
        find_target(c, event, gate, &t);
        inner = t.dpl < c->cpl;
        f.ss = &stack;
        f.dpl = t.dpl;
        f.bytes = cpu_long_mode(c)                                      ? 8
                  : t.type == GATE_INTERRUPT32 || t.type == GATE_TRAP32 ? 4
                                                                        : 2;
        f.sp = c->r[RSP];
        if (t.ist) {
                f.sp = ist_pointer(c, t.ist, event->ext);
                stack = inner ? gate_null_stack(t.dpl) : stack;
        } else if (inner) {
                f.sp = gate_stack(c, NULL, t.dpl, event->ext, &stack);
        }
        if (cpu_long_mode(c))
                f.sp &= ~UINT64_C(15);
        f.error = inner ? (stack.selector & ~3u) | event->ext : event->ext;
        make_frame(c, event, inner, &f);
        enter_handler(c, &t, &stack, gate_push(c, NULL, &f));
}

/**
 * interrupt_deliver() - push the frame and go to the handler
 * @software:   INT n, INT3, INTO: the gate's privilege is checked
 * @return_rip: what the frame says
 *
 * Faults on the way by cpu_raise(). Return: true.
 */
bool interrupt_deliver(SoftCpu *c, unsigned vector, bool software, bool has_code, uint32_t code,
                       uint64_t return_rip) {
        if (cpu_protected(c))
                deliver_protected(c, &(Event){.vector = vector,
                                              .ext = software ? 0 : 1,
                                              .software = software,
                                              .has_code = has_code,
                                              .code = code,
                                              .return_rip = return_rip});
        else
                deliver_real(c, vector, return_rip);
        return true;
}
