/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery of exceptions and interrupts through the IDT (SDM volume 3 chapter 6). */
#include "vmm/hv/soft/access.h"

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

/* Stack pointer for privilege @dpl, from the TSS. */
static uint64_t tss_stack(SoftCpu *c, unsigned dpl, unsigned ist, uint16_t *ret_ss) {
        if (cpu_long_mode(c)) {
                unsigned at = ist ? 36 + (ist - 1) * 8 : 4 + dpl * 8;

                if (at + 7 > c->tr.limit)
                        cpu_raise_code(c, NULL, EXC_TS, c->tr.selector & ~3u);
                *ret_ss = (uint16_t) dpl;
                return mem_read_system(c, NULL, c->tr.base + at, 8);
        }
        if ((c->tr.attr & 0xf) >= 8) { /* 32-bit TSS */
                unsigned at = 4 + dpl * 8;

                if (at + 5 > c->tr.limit)
                        cpu_raise_code(c, NULL, EXC_TS, c->tr.selector & ~3u);
                *ret_ss = (uint16_t) mem_read_system(c, NULL, c->tr.base + at + 4, 2);
                return mem_read_system(c, NULL, c->tr.base + at, 4);
        }
        *ret_ss = (uint16_t) mem_read_system(c, NULL, c->tr.base + 4 + dpl * 4, 2);
        return mem_read_system(c, NULL, c->tr.base + 2 + dpl * 4, 2);
}

static void deliver_protected(SoftCpu *c, unsigned vector, bool software, bool has_code,
                              uint32_t code, uint64_t return_rip) {
        bool long_mode = cpu_long_mode(c);
        unsigned entry = long_mode ? 16 : 8, ext = software ? 0 : 1, type, ist = 0, dpl, n;
        uint32_t flags = cpu_flags(c), error = vector * 8 + 2 + ext;
        uint64_t gate, offset, cs_d, sp, ss_base, ss_mask, frame[6];
        uint16_t selector, new_ss = 0;
        Segment new_stack = c->seg[SEG_SS];
        unsigned frames = 0, cpl = c->cpl, role;
        bool inner;

        if (vector * entry + entry - 1 > c->idt_limit)
                cpu_raise_code(c, NULL, EXC_GP, error);
        gate = mem_read_system(c, NULL, c->idt_base + vector * entry, 8);
        type = (unsigned) (gate >> 40) & 0x1f;
        if (long_mode ? type != GATE_INTERRUPT32 && type != GATE_TRAP32
                      : type != GATE_TASK && type != GATE_INTERRUPT16 && type != GATE_TRAP16 &&
                                type != GATE_INTERRUPT32 && type != GATE_TRAP32)
                cpu_raise_code(c, NULL, EXC_GP, error);
        if (software && ((gate >> 45) & 3) < cpl)
                cpu_raise_code(c, NULL, EXC_GP, error);
        if (!(gate >> 47 & 1))
                cpu_raise_code(c, NULL, EXC_NP, error);
        if (type == GATE_TASK) {
                task_switch(c, NULL,
                            &(TaskSwitch){.cause = TASK_EVENT,
                                          .selector = (uint16_t) (gate >> 16),
                                          .next_rip = return_rip,
                                          .ext = ext,
                                          .has_code = has_code,
                                          .code = code});
                return;
        }
        selector = (uint16_t) (gate >> 16);
        offset = (gate & 0xffff) | (gate >> 32 & 0xffff0000);
        if (long_mode) {
                offset |= mem_read_system(c, NULL, c->idt_base + vector * entry + 8, 4) << 32;
                ist = (unsigned) (gate >> 32) & 7;
        } else if (type == GATE_INTERRUPT16 || type == GATE_TRAP16) {
                offset &= 0xffff;
        }
        if ((selector & ~3u) == 0)
                cpu_raise_code(c, NULL, EXC_GP, ext);
        if (!descriptor_read(c, NULL, selector, &cs_d))
                cpu_raise_code(c, NULL, EXC_GP, (selector & ~3u) | ext);
        dpl = (unsigned) (cs_d >> 45) & 3;
        if (!(cs_d >> 44 & 1) || !(cs_d >> 43 & 1) || dpl > cpl || (long_mode && !(cs_d >> 53 & 1)))
                cpu_raise_code(c, NULL, EXC_GP, (selector & ~3u) | ext);
        if (!(cs_d >> 47 & 1))
                cpu_raise_code(c, NULL, EXC_NP, (selector & ~3u) | ext);
        if (cs_d >> 42 & 1) /* conforming */
                dpl = cpl;

        inner = dpl < cpl;
        n = long_mode ? 8 : type == GATE_INTERRUPT32 || type == GATE_TRAP32 ? 4 : 2;
        sp = c->r[RSP];
        if (inner || ist) {
                sp = tss_stack(c, dpl, ist, &new_ss);
                if (!long_mode) {
                        uint64_t ss_d;

                        if (!descriptor_read(c, NULL, new_ss, &ss_d) || (new_ss & 3u) != dpl)
                                cpu_raise_code(c, NULL, EXC_TS, (new_ss & ~3u) | ext);
                        segment_from_descriptor(&new_stack, new_ss, ss_d);
                }
        }
        if (long_mode)
                sp &= ~UINT64_C(15);

        if (long_mode || inner) {
                frame[frames++] = c->seg[SEG_SS].selector;
                frame[frames++] = c->r[RSP];
        }
        frame[frames++] = flags;
        frame[frames++] = c->seg[SEG_CS].selector;
        frame[frames++] = return_rip;
        if (has_code)
                frame[frames++] = code;
        ss_base = long_mode ? 0 : new_stack.base;
        ss_mask = long_mode ? UINT64_MAX : new_stack.attr & SEG_ATTR_DB ? UINT32_MAX : 0xffff;
        role = c->role != MMU_USER || dpl == 3 ? c->role : MMU_SUPERVISOR;
        for (unsigned i = 0; i < frames; i++)
                mem_write_as(c, role, ss_base + ((sp - (i + 1) * n) & ss_mask), n, frame[i]);

        /* Nothing faults from here on. */
        segment_from_descriptor(&c->seg[SEG_CS], (uint16_t) ((selector & ~3u) | dpl), cs_d);
        c->cpl = (uint8_t) dpl;
        if (inner) {
                if (long_mode)
                        c->seg[SEG_SS] = (Segment){.selector = (uint16_t) dpl,
                                                   .attr = (uint16_t) (0x93 | dpl << 5)};
                else
                        c->seg[SEG_SS] = new_stack;
        }
        c->flags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
        if (type == GATE_INTERRUPT32 || type == GATE_INTERRUPT16)
                c->flags &= ~FLAG_IF;
        cpu_mode_changed(c);
        sp -= frames * n;
        c->r[RSP] =
                ss_mask == 0xffff ? (c->r[RSP] & ~UINT64_C(0xffff)) | (sp & ss_mask) : sp & ss_mask;
        c->rip = offset;
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
                deliver_protected(c, vector, software, has_code, code, return_rip);
        else
                deliver_real(c, vector, return_rip);
        return true;
}
