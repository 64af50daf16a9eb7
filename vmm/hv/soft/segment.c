/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers, far transfers and returns (SDM volume 3 chapters 3, 5 and 6). */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/operand.h"

#define DESC_DPL(d) ((unsigned) ((d) >> 45) & 3u)
#define DESC_P(d) ((d) >> 47 & 1)
#define DESC_S(d) ((d) >> 44 & 1)
#define DESC_TYPE(d) ((unsigned) ((d) >> 40) & 15u)
#define DESC_L(d) ((d) >> 53 & 1)
#define DESC_DB(d) ((d) >> 54 & 1)
#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u
#define TYPE_READABLE 2u
#define TYPE_WRITABLE 2u
#define TYPE_TSS16 1u
#define TYPE_TASK_GATE 5u
#define TYPE_TSS32 9u

/** segment_set_real() - what loading a segment register does in real mode and in virtual-8086 mode */
void segment_set_real(SoftCpu *c, unsigned seg, uint16_t selector) {
        if (cpu_v86(c)) {
                v86_set_segment(c, seg, selector);
                cpu_mode_changed(c);
                return;
        }
        if (!(c->seg[seg].attr & SEG_ATTR_P)) /* a null selector has no limit to keep */
                c->seg[seg] = (Segment){.limit = 0xffff, .attr = 0x93};
        c->seg[seg].selector = selector;
        c->seg[seg].base = (uint32_t) selector << 4;
        if (seg == SEG_CS)
                c->seg[seg].attr = 0x93 | 0x8;
        cpu_mode_changed(c);
}

/** segment_from_descriptor() - the hidden part of a segment register from its descriptor */
void segment_from_descriptor(Segment *seg, uint16_t selector, uint64_t d) {
        uint32_t limit = (uint32_t) (d & 0xffff) | ((uint32_t) (d >> 32) & 0xf0000);

        seg->selector = selector;
        seg->base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
        seg->attr = (uint16_t) ((d >> 40) & 0xf0ff);
        seg->limit = seg->attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
}

/** descriptor_read() - the 8 bytes that @selector names; false when it is beyond the table */
bool descriptor_read(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t *ret) {
        uint64_t base = c->gdt_base;
        uint32_t limit = c->gdt_limit;

        if (selector & 4) {
                base = c->ldtr.base;
                limit = c->ldtr.limit;
                if (!(c->ldtr.attr & SEG_ATTR_P))
                        return false;
        }
        if ((uint32_t) (selector | 7) > limit)
                return false;
        *ret = mem_read_system(c, u, base + (selector & ~7u), 8);
        return true;
}

/** segment_set_accessed() - note in the descriptor and in *@d that it is in use */
void segment_set_accessed(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t *d) {
        uint64_t base = selector & 4 ? c->ldtr.base : c->gdt_base;

        if (*d >> 40 & 1)
                return;
        *d |= UINT64_C(1) << 40;
        mem_write_system(c, u, base + (selector & ~7u) + 5, 1, *d >> 40 & 0xff);
}

static void set_null(SoftCpu *c, unsigned seg, uint16_t selector) {
        c->seg[seg] = (Segment){.selector = selector, .attr = 0};
}

/** segment_load() - MOV or POP into a data segment register, with all checks */
void segment_load(SoftCpu *c, const Uop *u, unsigned seg, uint16_t selector) {
        unsigned rpl = selector & 3, type;
        uint64_t d;

        if (!cpu_descriptors(c)) {
                segment_set_real(c, seg, selector);
                return;
        }
        if ((selector & ~3u) == 0) {
                if (seg == SEG_SS && (!cpu_code64(c) || c->cpl == 3 || rpl != c->cpl))
                        cpu_raise_code(c, u, EXC_GP, 0);
                set_null(c, seg, selector);
                if (seg == SEG_SS)
                        c->seg[seg].attr = (uint16_t) (0x93 | c->cpl << 5);
                cpu_mode_changed(c);
                return;
        }
        if (!descriptor_read(c, u, selector, &d))
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        type = DESC_TYPE(d);
        if (seg == SEG_SS) {
                if (rpl != c->cpl || DESC_DPL(d) != c->cpl || !DESC_S(d) || (type & TYPE_CODE) ||
                    !(type & TYPE_WRITABLE))
                        cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        } else {
                if (!DESC_S(d) || ((type & TYPE_CODE) && !(type & TYPE_READABLE)))
                        cpu_raise_code(c, u, EXC_GP, selector & ~3u);
                if (!((type & TYPE_CODE) && (type & TYPE_CONFORMING)) &&
                    (rpl > DESC_DPL(d) || c->cpl > DESC_DPL(d)))
                        cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        }
        if (!DESC_P(d))
                cpu_raise_code(c, u, seg == SEG_SS ? EXC_SS : EXC_NP, selector & ~3u);
        segment_set_accessed(c, u, selector, &d);
        segment_from_descriptor(&c->seg[seg], selector, d);
        cpu_mode_changed(c);
}

/** far_load_code() - CS from its descriptor @d, with privilege @cpl */
void far_load_code(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t d, unsigned cpl) {
        segment_set_accessed(c, u, selector, &d);
        segment_from_descriptor(&c->seg[SEG_CS], (uint16_t) ((selector & ~3u) | cpl), d);
        c->cpl = (uint8_t) cpl;
        cpu_mode_changed(c);
}

/** far_check_target() - #GP for an offset that is not within the code segment of descriptor @d */
void far_check_target(SoftCpu *c, const Uop *u, uint64_t d, uint64_t offset) {
        uint32_t limit = (uint32_t) (d & 0xffff) | ((uint32_t) (d >> 32) & 0xf0000);

        if (cpu_long_mode(c) && DESC_L(d)) {
                if (!is_canonical(offset))
                        cpu_raise_code(c, u, EXC_GP, 0);
                return;
        }
        if (d >> 55 & 1)
                limit = limit << 12 | 0xfff;
        if (offset > limit)
                cpu_raise_code(c, u, EXC_GP, 0);
}

/* What CS may be loaded with; the error code names it. */
static uint64_t read_code(SoftCpu *c, const Uop *u, uint16_t selector) {
        uint64_t d;

        if ((selector & ~3u) == 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (!descriptor_read(c, u, selector, &d) || !DESC_S(d) || !(DESC_TYPE(d) & TYPE_CODE) ||
            (cpu_long_mode(c) && DESC_L(d) && DESC_DB(d)))
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        return d;
}

/* The code segment of a far JMP or CALL that changes no privilege. */
static uint64_t far_code(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t offset) {
        const uint64_t d = read_code(c, u, selector);

        if (DESC_TYPE(d) & TYPE_CONFORMING ? DESC_DPL(d) > c->cpl
                                           : DESC_DPL(d) != c->cpl || (selector & 3u) > c->cpl)
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        if (!DESC_P(d))
                cpu_raise_code(c, u, EXC_NP, selector & ~3u);
        far_check_target(c, u, d, offset);
        return d;
}

/** far_gate_code() - the code segment that a call gate names, for CALL or for JMP. Return: its descriptor. */
uint64_t far_gate_code(SoftCpu *c, const Uop *u, uint16_t selector, bool call) {
        const uint64_t d = read_code(c, u, selector);
        const bool inner = call || (DESC_TYPE(d) & TYPE_CONFORMING);

        if ((inner ? DESC_DPL(d) > c->cpl : DESC_DPL(d) != c->cpl) ||
            (cpu_long_mode(c) && !DESC_L(d)))
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        if (!DESC_P(d))
                cpu_raise_code(c, u, EXC_NP, selector & ~3u);
        return d;
}

/*
 * A far JMP or CALL to what is not a code segment: a task, or a gate to one. Return: false, with nothing done, when
 * the selector does not name such a thing; far_code() then finds what is wrong with it.
 */
static bool far_task(SoftCpu *c, const Uop *u, uint16_t selector, bool call) {
        TaskSwitch t = {.cause = call ? TASK_CALL : TASK_JUMP,
                        .selector = selector,
                        .next_rip = uop_next_rip(c, u)};
        uint64_t d;

        if (cpu_long_mode(c) || (selector & ~3u) == 0 || !descriptor_read(c, u, selector, &d) ||
            DESC_S(d))
                return false;
        if (DESC_TYPE(d) != TYPE_TSS16 && DESC_TYPE(d) != TYPE_TSS32 &&
            DESC_TYPE(d) != TYPE_TASK_GATE)
                return false;
        if (DESC_DPL(d) < c->cpl || DESC_DPL(d) < (selector & 3u))
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        if (DESC_TYPE(d) == TYPE_TASK_GATE) {
                if (!DESC_P(d))
                        cpu_raise_code(c, u, EXC_NP, selector & ~3u);
                t.selector = (uint16_t) (d >> 16);
        }
        task_switch(c, u, &t);
        return true;
}

/* Loading CS leaves its limit alone where there are no descriptors. */
static void check_real_target(SoftCpu *c, const Uop *u, uint64_t offset) {
        if (offset > c->seg[SEG_CS].limit)
                cpu_raise_code(c, u, EXC_GP, 0);
}

/** far_jump() - JMP far in every mode; sets rip, faults */
void far_jump(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t offset) {
        if (!cpu_descriptors(c)) {
                check_real_target(c, u, offset);
                segment_set_real(c, SEG_CS, selector);
                c->rip = offset;
                return;
        }
        if (far_task(c, u, selector, false) || gate_transfer(c, u, selector, false))
                return;
        far_load_code(c, u, selector, far_code(c, u, selector, offset), c->cpl);
        c->rip = offset;
}

/** far_call() - CALL far in every mode, operand size as @u says; sets rip, faults */
void far_call(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t offset) {
        unsigned bytes = 1u << u->size;
        uint64_t sp = c->r[RSP], d = 0, mask = stack_mask(c);

        if (cpu_descriptors(c)) {
                if (far_task(c, u, selector, true) || gate_transfer(c, u, selector, true))
                        return;
                d = far_code(c, u, selector, offset);
        } else {
                check_real_target(c, u, offset);
        }
        mem_write_slow(c, u, stack_address(c, u, sp - bytes, bytes), bytes,
                       c->seg[SEG_CS].selector);
        mem_write_slow(c, u, stack_address(c, u, sp - 2 * bytes, bytes), bytes, uop_next_rip(c, u));
        if (cpu_descriptors(c))
                far_load_code(c, u, selector, d, c->cpl);
        else
                segment_set_real(c, SEG_CS, selector);
        stack_set(c, mask, sp - 2 * bytes);
        c->rip = offset;
}

/* Data segments that the new privilege may not use become null. */
static void drop_segments(SoftCpu *c) {
        static const unsigned segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

        for (unsigned i = 0; i < ELEMENTSOF(segs); i++) {
                Segment *s = &c->seg[segs[i]];
                unsigned type = s->attr & SEG_ATTR_TYPE;

                if ((s->selector & ~3u) == 0)
                        s->selector = 0; /* what RPL a null selector had is not for user mode */
                if ((s->attr & SEG_ATTR_P) && SEG_ATTR_DPL(s->attr) < c->cpl &&
                    !((type & TYPE_CODE) && (type & TYPE_CONFORMING))) {
                        s->selector = 0;
                        s->attr = 0;
                        if (!cpu_long_mode(c))
                                s->base = 0;
                }
        }
}

/* Common end of RETF and IRET in protected mode: the frame has been read, nothing has changed yet. */
static void return_to(SoftCpu *c, const Uop *u, uint64_t rip, uint16_t cs, bool pops_stack,
                      uint64_t rsp, uint16_t ss, uint64_t same_level_sp) {
        unsigned rpl = cs & 3, type;
        uint64_t d, ss_d = 0, mask;

        if ((cs & ~3u) == 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (!descriptor_read(c, u, cs, &d))
                cpu_raise_code(c, u, EXC_GP, cs & ~3u);
        type = DESC_TYPE(d);
        if (rpl < c->cpl || !DESC_S(d) || !(type & TYPE_CODE) ||
            (type & TYPE_CONFORMING ? DESC_DPL(d) > rpl : DESC_DPL(d) != rpl) ||
            (cpu_long_mode(c) && DESC_L(d) && DESC_DB(d)))
                cpu_raise_code(c, u, EXC_GP, cs & ~3u);
        if (!DESC_P(d))
                cpu_raise_code(c, u, EXC_NP, cs & ~3u);
        far_check_target(c, u, d, rip);
        if (pops_stack) {
                bool to64 = cpu_long_mode(c) && DESC_L(d);

                if ((ss & ~3u) == 0) {
                        if (!to64 || rpl == 3)
                                cpu_raise_code(c, u, EXC_GP, 0);
                } else {
                        if (!descriptor_read(c, u, ss, &ss_d) || (ss & 3u) != rpl ||
                            DESC_DPL(ss_d) != rpl || !DESC_S(ss_d) ||
                            (DESC_TYPE(ss_d) & TYPE_CODE) || !(DESC_TYPE(ss_d) & TYPE_WRITABLE))
                                cpu_raise_code(c, u, EXC_GP, ss & ~3u);
                        if (!DESC_P(ss_d))
                                cpu_raise_code(c, u, EXC_SS, ss & ~3u);
                }
                far_load_code(c, u, cs, d, rpl);
                if ((ss & ~3u) == 0) {
                        set_null(c, SEG_SS, ss);
                        c->seg[SEG_SS].attr = (uint16_t) (0x93 | rpl << 5);
                } else {
                        segment_set_accessed(c, u, ss, &ss_d);
                        segment_from_descriptor(&c->seg[SEG_SS], ss, ss_d);
                }
                cpu_mode_changed(c);
                mask = stack_mask(c);
                stack_set(c, mask, rsp);
                drop_segments(c);
        } else {
                mask = stack_mask(c);
                far_load_code(c, u, cs, d, rpl);
                stack_set(c, mask, same_level_sp);
        }
        c->rip = rip;
}

/** far_return() - RETF, also to less privilege; @pop_bytes are dropped from both stacks */
void far_return(SoftCpu *c, const Uop *u, unsigned pop_bytes) {
        unsigned n = 1u << u->size;
        uint64_t sp = c->r[RSP], rip, rsp = 0;
        uint16_t cs, ss = 0;

        rip = mem_read_slow(c, u, stack_address(c, u, sp, n), n);
        cs = (uint16_t) mem_read_slow(c, u, stack_address(c, u, sp + n, n), n);
        if (!cpu_descriptors(c)) {
                uint64_t mask = stack_mask(c);

                check_real_target(c, u, rip);
                segment_set_real(c, SEG_CS, cs);
                stack_set(c, mask, sp + 2 * n + pop_bytes);
                c->rip = rip;
                return;
        }
        if ((cs & 3u) > c->cpl) {
                rsp = mem_read_slow(c, u, stack_address(c, u, sp + 2 * n + pop_bytes, n), n) +
                      pop_bytes;
                ss = (uint16_t) mem_read_slow(c, u, stack_address(c, u, sp + 3 * n + pop_bytes, n),
                                              n);
        }
        return_to(c, u, rip, cs, (cs & 3u) > c->cpl, rsp, ss, sp + 2 * n + pop_bytes);
        v86_check_pending(c);
}

#define FLAGS_RETURN (FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_RF)

static void unmask_nmi(SoftCpu *c) {
        c->nmi_masked = false;
        if (c->nmi_pending)
                cpu_attention(c, ATTENTION_INTERRUPT);
}

/* IRET in real mode, and in virtual-8086 mode, which cannot change its IOPL. @virtual: it has VIF for IF */
static void return_real(SoftCpu *c, const Uop *u, uint64_t rip, uint16_t cs, uint32_t flags,
                        bool virtual) {
        const uint64_t mask = stack_mask(c);
        const uint32_t bits = FLAGS_RETURN | FLAG_IF | (cpu_v86(c) ? 0 : FLAG_IOPL);

        check_real_target(c, u, rip);
        if (virtual)
                v86_set_flags(c, u, flags);
        else
                cpu_set_flags(c, flags, u->size == 1 ? bits & 0xffff : bits);
        segment_set_real(c, SEG_CS, cs);
        stack_set(c, mask, c->r[RSP] + 3 * (1u << u->size));
        c->rip = rip;
}

/** interrupt_return() - IRET in every mode; faults */
void interrupt_return(SoftCpu *c, const Uop *u) {
        unsigned n = 1u << u->size;
        uint64_t sp = c->r[RSP], rip, rsp = 0;
        uint32_t flags, mask = u->size == 1 ? FLAGS_RETURN & 0xffff : FLAGS_RETURN;
        uint16_t cs, ss = 0;
        bool pops, virtual;

        unmask_nmi(c); /* also when it faults */
        virtual = v86_vif_is_if(c, u);
        if (cpu_descriptors(c) && (c->flags & FLAG_NT) && !cpu_long_mode(c)) {
                const TaskSwitch t = {
                        .cause = TASK_IRET,
                        .selector = (uint16_t) mem_read_system(c, u, c->tr.base, 2),
                        .next_rip = uop_next_rip(c, u),
                };

                task_switch(c, u, &t);
                return;
        }
        rip = mem_read_slow(c, u, stack_address(c, u, sp, n), n);
        cs = (uint16_t) mem_read_slow(c, u, stack_address(c, u, sp + n, n), n);
        flags = (uint32_t) mem_read_slow(c, u, stack_address(c, u, sp + 2 * n, n), n);
        if (!cpu_descriptors(c)) {
                return_real(c, u, rip, cs, flags, virtual);
                return;
        }
        if ((flags & FLAG_VM) && c->cpl == 0 && !cpu_long_mode(c) && u->size == 2) {
                v86_return_to(c, u, (uint32_t) rip, cs, flags);
                v86_check_pending(c);
                return;
        }
        if (c->flags & FLAG_NT)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (c->cpl == 0)
                mask |= FLAG_IOPL | (u->size == 1 ? 0 : v86_task_flags(c) & (FLAG_VIF | FLAG_VIP));
        if (c->cpl <= (c->flags & FLAG_IOPL) >> 12)
                mask |= FLAG_IF;
        /* 64-bit mode pops the stack always, the others only towards less privilege. */
        pops = cpu_code64(c) || (cs & 3u) > c->cpl;
        if (pops) {
                rsp = mem_read_slow(c, u, stack_address(c, u, sp + 3 * n, n), n);
                ss = (uint16_t) mem_read_slow(c, u, stack_address(c, u, sp + 4 * n, n), n);
        }
        return_to(c, u, rip, cs, pops, rsp, ss, sp + 3 * n);
        cpu_set_flags(c, flags, mask);
        v86_check_pending(c);
}

/** segment_load_descriptor() - LLDT and LTR: a system segment from the GDT, 16 bytes in long mode */
void segment_load_descriptor(SoftCpu *c, const Uop *u, Segment *seg, uint16_t selector,
                             unsigned want_type) {
        uint64_t d, high = 0;
        Segment loaded;

        if ((selector & 4) || !descriptor_read(c, u, selector, &d))
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        if (DESC_S(d) || !(DESC_TYPE(d) == want_type ||
                           (want_type == 9 && DESC_TYPE(d) == 1 && !cpu_long_mode(c))))
                cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        if (!DESC_P(d))
                cpu_raise_code(c, u, EXC_NP, selector & ~3u);
        if (cpu_long_mode(c)) {
                if ((uint32_t) (selector | 7) + 8 > c->gdt_limit)
                        cpu_raise_code(c, u, EXC_GP, selector & ~3u);
                high = mem_read_system(c, u, c->gdt_base + (selector & ~7u) + 8, 8);
                if (high >> 32 & 0x1f00) /* a type where a 16-byte descriptor has zeros */
                        cpu_raise_code(c, u, EXC_GP, selector & ~3u);
                segment_from_descriptor(&loaded, selector, d);
                loaded.base |= high << 32;
                if ((uint64_t) ((int64_t) (loaded.base << 16) >> 16) != loaded.base)
                        cpu_raise_code(c, u, EXC_GP, selector & ~3u);
        }
        if (want_type == 9) { /* becomes busy */
                d |= UINT64_C(2) << 40;
                mem_write_system(c, u, c->gdt_base + (selector & ~7u) + 5, 1, d >> 40 & 0xff);
        }
        segment_from_descriptor(&loaded, selector, d);
        loaded.base |= high << 32;
        *seg = loaded;
}

/* ---- what the task-state segment says of ports ---- */

#define TSS_IO_MAP_BASE 102u
#define TSS_SIZE_MIN 104u

static bool io_permitted(SoftCpu *c, const Uop *u, uint16_t port, unsigned size) {
        const uint32_t mask = (1u << size) - 1;
        uint32_t at, bits;

        if (!(c->tr.attr & SEG_ATTR_P) || !(c->tr.attr & 8) || c->tr.limit < TSS_SIZE_MIN - 1)
                return false; /* none, or one of 16 bits, which has no map */
        at = (uint32_t) mem_read_system(c, u, c->tr.base + TSS_IO_MAP_BASE, 2) + port / 8;
        if (at + 1 > c->tr.limit) /* two bytes are read, whatever the port */
                return false;
        bits = (uint32_t) mem_read_system(c, u, c->tr.base + at, 2) >> port % 8;
        return (bits & mask) == 0;
}

/**
 * io_check() - #GP unless IOPL, which virtual-8086 mode does not count, or the I/O permission map allows all of
 * @size (1, 2, 4) ports (SDM volume 1, 19.5)
 */
void io_check(SoftCpu *c, const Uop *u, uint16_t port, unsigned size) {
        if (cpu_protected(c) && (cpu_v86(c) || c->cpl > (c->flags & FLAG_IOPL) >> 12) &&
            !io_permitted(c, u, port, size))
                cpu_raise_code(c, u, EXC_GP, 0);
        if (unlikely(c->debug_armed))
                debug_check_port(c, port, size);
}
