/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware task switching in protected mode (SDM volume 3 chapter 8). Up to the commit, faults are the old task's and
 * find it unchanged but for its TSS; from the commit on they are the new task's, before its first instruction.
 */
#include "vmm/hv/soft/access.h"

#define TYPE_TSS16 0x1u
#define TYPE_TSS32 0x9u
#define TYPE_BUSY 0x2u
#define TYPE_LDT 0x2u
#define TSS_LIMIT16 0x2bu
#define TSS_LIMIT32 0x67u
#define TSS_TRAP 0x64u
#define DR6_BT 0x8000u
#define DR7_LOCAL 0x155u /* L0 to L3, LE */

/* A TSS of 16 bits says nothing of the upper halves of registers; processors were seen to leave ones. */
#define UPPER_OF_16BIT 0xffff0000u

/* What a TSS holds besides the stacks of inner privileges. */
typedef struct TaskState {
        uint32_t cr3, eip, eflags, regs[8];
        uint16_t segs[N_SEGS], ldt;
        bool trap;
} TaskState;

/* Offsets in both formats; a member is 2 or 4 bytes. */
typedef struct TssLayout {
        unsigned size, eip, eflags, regs, segs, n_segs, ldt;
} TssLayout;

static const TssLayout layout16 = {2, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a};
static const TssLayout layout32 = {4, 0x20, 0x24, 0x28, 0x48, 6, 0x60};

static const TssLayout *layout_of(unsigned type) {
        return (type & ~TYPE_BUSY) == TYPE_TSS32 ? &layout32 : &layout16;
}

static void tss_read(SoftCpu *c, const Uop *u, const Segment *tss, TaskState *ret) {
        const TssLayout *l = layout_of(tss->attr & SEG_ATTR_TYPE);
        const uint64_t at = tss->base;

        *ret = (TaskState){0};
        if (l == &layout32) {
                ret->cr3 = (uint32_t) mem_read_system(c, u, at + 0x1c, 4);
                ret->trap = mem_read_system(c, u, at + TSS_TRAP, 1) & 1;
        }
        ret->eip = (uint32_t) mem_read_system(c, u, at + l->eip, l->size);
        ret->eflags = (uint32_t) mem_read_system(c, u, at + l->eflags, l->size);
        for (unsigned i = 0; i < ELEMENTSOF(ret->regs); i++)
                ret->regs[i] =
                        (uint32_t) mem_read_system(c, u, at + l->regs + i * l->size, l->size);
        for (unsigned i = 0; i < l->n_segs; i++)
                ret->segs[i] = (uint16_t) mem_read_system(c, u, at + l->segs + i * l->size, 2);
        ret->ldt = (uint16_t) mem_read_system(c, u, at + l->ldt, 2);
}

static void tss_write(SoftCpu *c, const Uop *u, uint32_t eip, uint32_t eflags) {
        const TssLayout *l = layout_of(c->tr.attr & SEG_ATTR_TYPE);
        const uint64_t at = c->tr.base;

        mem_write_system(c, u, at + l->eip, l->size, eip);
        mem_write_system(c, u, at + l->eflags, l->size, eflags);
        for (unsigned i = 0; i < 8; i++)
                mem_write_system(c, u, at + l->regs + i * l->size, l->size, (uint32_t) c->r[i]);
        for (unsigned i = 0; i < l->n_segs; i++)
                mem_write_system(c, u, at + l->segs + i * l->size, 2, c->seg[i].selector);
}

static void set_busy(SoftCpu *c, const Uop *u, uint16_t selector, bool busy) {
        const uint64_t at = c->gdt_base + (selector & ~7u) + 5;
        const uint64_t access = mem_read_system(c, u, at, 1);

        mem_write_system(c, u, at, 1, busy ? access | TYPE_BUSY : access & ~(uint64_t) TYPE_BUSY);
}

/* The TSS that is switched to, with its checks. */
static Segment find_tss(SoftCpu *c, const Uop *u, const TaskSwitch *t) {
        const unsigned vector = t->cause == TASK_IRET ? EXC_TS : EXC_GP;
        const uint32_t error = (t->selector & ~3u) | t->ext;
        const unsigned busy = t->cause == TASK_IRET ? TYPE_BUSY : 0;
        Segment tss;
        uint64_t d;

        if ((t->selector & 4) || (t->selector & ~3u) == 0 ||
            !descriptor_read(c, u, t->selector, &d))
                cpu_raise_code(c, u, vector, error);
        segment_from_descriptor(&tss, t->selector, d);
        if ((tss.attr & (SEG_ATTR_TYPE | SEG_ATTR_S)) != (TYPE_TSS16 | busy) &&
            (tss.attr & (SEG_ATTR_TYPE | SEG_ATTR_S)) != (TYPE_TSS32 | busy))
                cpu_raise_code(c, u, vector, error);
        if (!(tss.attr & SEG_ATTR_P))
                cpu_raise_code(c, u, EXC_NP, error);
        if (tss.limit <
            (layout_of(tss.attr & SEG_ATTR_TYPE) == &layout32 ? TSS_LIMIT32 : TSS_LIMIT16))
                cpu_raise_code(c, u, EXC_TS, error);
        return tss;
}

/* ---- in the new task ---- */

_Noreturn static void bad_segment(SoftCpu *c, unsigned vector, uint16_t selector, unsigned ext) {
        cpu_raise_code(c, NULL, vector, (selector & ~3u) | ext);
}

static void load_ldt(SoftCpu *c, uint16_t selector, unsigned ext) {
        uint64_t d;

        c->ldtr = (Segment){.selector = selector};
        if ((selector & ~3u) == 0)
                return;
        if ((selector & 4) || !descriptor_read(c, NULL, selector, &d) ||
            (d >> 40 & (SEG_ATTR_S | SEG_ATTR_TYPE)) != TYPE_LDT || !(d >> 47 & 1))
                bad_segment(c, EXC_TS, selector, ext);
        segment_from_descriptor(&c->ldtr, selector, d);
}

/* Whether @d may be loaded into segment register @seg by code of the task's privilege. */
static bool suits(const SoftCpu *c, unsigned seg, uint16_t selector, uint64_t d) {
        const unsigned type = (unsigned) (d >> 40) & 0xf, dpl = (unsigned) (d >> 45) & 3;
        const bool code = type & 8, conforming = type & 4;

        if (!(d >> 44 & 1))
                return false;
        if (seg == SEG_CS)
                return code && (conforming ? dpl <= c->cpl : dpl == c->cpl);
        if (seg == SEG_SS)
                return !code && (type & 2) && dpl == c->cpl && (selector & 3u) == c->cpl;
        if (code && !(type & 2))
                return false;
        return (code && conforming) || (dpl >= c->cpl && dpl >= (selector & 3u));
}

static void load_segment(SoftCpu *c, unsigned seg, uint16_t selector, unsigned ext) {
        uint64_t d;

        if ((selector & ~3u) == 0) {
                if (seg == SEG_CS || seg == SEG_SS)
                        bad_segment(c, EXC_TS, selector, ext);
                return;
        }
        if (!descriptor_read(c, NULL, selector, &d) || !suits(c, seg, selector, d))
                bad_segment(c, EXC_TS, selector, ext);
        if (!(d >> 47 & 1))
                bad_segment(c, seg == SEG_SS ? EXC_SS : EXC_NP, selector, ext);
        segment_set_accessed(c, NULL, selector, &d);
        segment_from_descriptor(&c->seg[seg], selector, d);
        cpu_mode_changed(c);
}

static void load_segments(SoftCpu *c, const uint16_t selectors[N_SEGS], unsigned ext) {
        load_segment(c, SEG_CS, selectors[SEG_CS], ext);
        for (unsigned i = 0; i < N_SEGS; i++)
                if (i != SEG_CS)
                        load_segment(c, i, selectors[i], ext);
}

static void load_task(SoftCpu *c, const TaskState *s, bool is32, unsigned ext) {
        if (is32 && (c->cr0 & CR0_PG)) {
                c->cr3 = s->cr3;
                tlb_flush_nonglobal(c);
        }
        for (unsigned i = 0; i < ELEMENTSOF(s->regs); i++)
                c->r[i] = s->regs[i] | (is32 ? 0 : UPPER_OF_16BIT);
        c->rip = s->eip;
        cpu_set_flags(c, s->eflags, v86_task_flags(c));
        c->dr[7] &= ~(uint64_t) DR7_LOCAL;
        debug_changed(c);
        for (unsigned i = 0; i < N_SEGS; i++)
                c->seg[i] = (Segment){.selector = s->segs[i]};
        c->cpl = s->segs[SEG_CS] & 3;
        cpu_mode_changed(c);

        load_ldt(c, s->ldt, ext);
        if (cpu_v86(c))
                v86_enter(c, s->segs);
        else
                load_segments(c, s->segs, ext);
        if (s->eip > c->seg[SEG_CS].limit)
                cpu_raise_code(c, NULL, EXC_GP, ext);
}

static void push_code(SoftCpu *c, uint32_t code, bool is32) {
        const uint64_t mask = c->seg[SEG_SS].attr & SEG_ATTR_DB ? UINT32_MAX : 0xffff;
        const unsigned n = is32 ? 4 : 2;
        const uint64_t sp = (c->r[RSP] - n) & mask;

        mem_write_slow(c, NULL, (c->seg[SEG_SS].base + sp) & UINT32_MAX, n, code);
        c->r[RSP] = (c->r[RSP] & ~mask & UINT32_MAX) | sp;
}

/**
 * task_switch() - leave the current task for another; protected mode outside long mode
 * @u: of the instruction that switches, NULL when an event does
 *
 * Faults. On return the processor is at the new task's next instruction.
 */
void task_switch(SoftCpu *c, const Uop *u, const TaskSwitch *t) {
        const Segment tss = find_tss(c, u, t);
        const bool is32 = layout_of(tss.attr & SEG_ATTR_TYPE) == &layout32;
        const bool nests = t->cause == TASK_CALL || t->cause == TASK_EVENT;
        const uint16_t from = c->tr.selector;
        uint32_t eflags = cpu_flags(c);
        TaskState s;

        tss_read(c, u, &tss, &s);
        if (t->cause == TASK_IRET)
                eflags &= ~FLAG_NT;
        tss_write(c, u, (uint32_t) t->next_rip, eflags);
        if (nests)
                mem_write_system(c, u, tss.base, 2, from);
        else
                set_busy(c, u, from, false);
        if (t->cause != TASK_IRET)
                set_busy(c, u, t->selector, true);

        /* The commit. */
        c->tr = tss;
        c->tr.attr |= TYPE_BUSY;
        c->cr0 |= CR0_TS;
        if (nests)
                s.eflags |= FLAG_NT;
        load_task(c, &s, is32, t->ext);
        if (t->has_code)
                push_code(c, t->code, is32);
        if (s.trap)
                debug_raise(c, NULL, DR6_BT);
        v86_check_pending(c);
}
