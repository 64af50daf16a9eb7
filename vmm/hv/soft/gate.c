/* SPDX-License-Identifier: Apache-2.0 */
/* Call gates, and the stacks of inner privileges that they and interrupts go to (SDM volume 3, 5.8.3 to 5.8.5). */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/operand.h"

#define TYPE_CALL16 4u
#define TYPE_CALL32 12u /* of 64 bits in long mode */
#define TYPE_CODE 8u
#define TYPE_CONFORMING 4u
#define TYPE_WRITABLE 2u
#define TYPE_TSS32 8u
#define PARAMETERS_MAX 31u

typedef struct CallGate {
        uint16_t selector; /* of the code */
        uint64_t code;     /* its descriptor */
        uint64_t offset;
        unsigned bytes; /* of what is pushed: 2, 4, 8 */
        unsigned n_parameters;
} CallGate;

static unsigned dpl_of(uint64_t d) {
        return (unsigned) (d >> 45) & 3;
}

/* Where the TSS says that the stack of @dpl is; @ext: of error codes. */
static uint64_t read_pointer(SoftCpu *c, const Uop *u, unsigned dpl, unsigned ext,
                             uint16_t *ret_ss) {
        const bool is32 = c->tr.attr & TYPE_TSS32;
        const unsigned bytes = cpu_long_mode(c) ? 8 : is32 ? 4 : 2;
        const unsigned at = cpu_long_mode(c) || is32 ? 4 + dpl * 8 : 2 + dpl * 4;

        if (at + bytes + (cpu_long_mode(c) ? 0 : 2) - 1 > c->tr.limit)
                cpu_raise_code(c, u, EXC_TS, (c->tr.selector & ~3u) | ext);
        *ret_ss = cpu_long_mode(c) ? (uint16_t) dpl
                                   : (uint16_t) mem_read_system(c, u, c->tr.base + at + bytes, 2);
        return mem_read_system(c, u, c->tr.base + at, bytes);
}

/** gate_null_stack() - SS as long mode has it after a change to privilege @dpl */
Segment gate_null_stack(unsigned dpl) {
        return (Segment){.selector = (uint16_t) dpl, .attr = (uint16_t) (0x93 | dpl << 5)};
}

/**
 * gate_stack() - the stack of privilege @dpl, as the TSS has it
 * @ext:    of error codes: 1 for an event from outside the program
 * @ret_ss: what SS becomes, which in long mode is null
 *
 * Faults. Return: the stack pointer.
 */
uint64_t gate_stack(SoftCpu *c, const Uop *u, unsigned dpl, unsigned ext, Segment *ret_ss) {
        uint16_t selector;
        const uint64_t sp = read_pointer(c, u, dpl, ext, &selector);
        const uint32_t error = (selector & ~3u) | ext;
        uint64_t d;

        if (cpu_long_mode(c)) {
                *ret_ss = gate_null_stack(dpl);
                return sp;
        }
        if ((selector & ~3u) == 0 || !descriptor_read(c, u, selector, &d) ||
            (selector & 3u) != dpl || dpl_of(d) != dpl || !(d >> 44 & 1) ||
            (d >> 40 & (TYPE_CODE | TYPE_WRITABLE)) != TYPE_WRITABLE)
                cpu_raise_code(c, u, EXC_TS, error);
        if (!(d >> 47 & 1))
                cpu_raise_code(c, u, EXC_SS, error);
        segment_set_accessed(c, u, selector, &d);
        segment_from_descriptor(ret_ss, selector, d);
        return sp;
}

/**
 * gate_push() - write a frame to a stack that is not the current one yet
 *
 * Faults, and then nothing has changed but memory below that stack. Return: the new stack pointer.
 */
uint64_t gate_push(SoftCpu *c, const Uop *u, const StackFrame *f) {
        const bool flat = cpu_long_mode(c);
        const uint64_t mask = flat ? UINT64_MAX : f->ss->attr & SEG_ATTR_DB ? UINT32_MAX : 0xffff;
        const unsigned role = c->role != MMU_USER || f->dpl == 3 ? c->role : MMU_SUPERVISOR;

        for (unsigned i = 0; i < f->n; i++) {
                const uint64_t at = (f->sp - (i + 1) * f->bytes) & mask;

                if (!flat && !stack_fits(f->ss, at, f->bytes))
                        cpu_raise_code(c, u, EXC_SS, f->error);
                mem_write_as(c, u, role, flat ? at : (f->ss->base + at) & UINT32_MAX, f->bytes,
                             f->values[i]);
        }
        return (f->sp - f->n * f->bytes) & mask;
}

/* The gate at @selector with all that is asked of it and of the code behind it; false when it names no call gate. */
static bool read_gate(SoftCpu *c, const Uop *u, uint16_t selector, bool call, CallGate *ret) {
        const uint32_t error = selector & ~3u;
        uint64_t d, high = 0;
        unsigned type;

        if (error == 0 || !descriptor_read(c, u, selector, &d))
                return false;
        type = (unsigned) (d >> 40) & 0x1f;
        if (type != TYPE_CALL32 && (type != TYPE_CALL16 || cpu_long_mode(c)))
                return false;
        if (dpl_of(d) < c->cpl || dpl_of(d) < (selector & 3u))
                cpu_raise_code(c, u, EXC_GP, error);
        if (cpu_long_mode(c)) {
                if (selector + 8u > UINT16_MAX ||
                    !descriptor_read(c, u, (uint16_t) (selector + 8), &high) || (high >> 40 & 0x1f))
                        cpu_raise_code(c, u, EXC_GP, error);
        }
        if (!(d >> 47 & 1))
                cpu_raise_code(c, u, EXC_NP, error);
        *ret = (CallGate){.selector = (uint16_t) (d >> 16),
                          .offset = (d & 0xffff) | (d >> 32 & 0xffff0000) | high << 32,
                          .bytes = cpu_long_mode(c)      ? 8
                                   : type == TYPE_CALL32 ? 4
                                                         : 2,
                          .n_parameters =
                                  cpu_long_mode(c) ? 0 : (unsigned) (d >> 32) & PARAMETERS_MAX};
        if (type == TYPE_CALL16)
                ret->offset &= 0xffff;
        ret->code = far_gate_code(c, u, ret->selector, call);
        far_check_target(c, u, ret->code, ret->offset);
        return true;
}

/* Without a change of privilege a gate is but another way to say where. */
static void call_same(SoftCpu *c, const Uop *u, const CallGate *gate) {
        const uint64_t values[2] = {c->seg[SEG_CS].selector, uop_next_rip(c, u)};
        const bool flat = cpu_long_mode(c);
        const uint64_t mask = flat ? UINT64_MAX : stack_mask(c);
        uint64_t sp = c->r[RSP];

        for (unsigned i = 0; i < 2; i++) {
                sp -= gate->bytes;
                mem_write_slow(c, u, flat ? sp : stack_address(c, u, sp, gate->bytes), gate->bytes,
                               values[i]);
        }
        far_load_code(c, u, gate->selector, gate->code, c->cpl);
        stack_set(c, mask, sp);
}

static void call_inner(SoftCpu *c, const Uop *u, const CallGate *gate) {
        const unsigned n = gate->n_parameters;
        Segment ss;
        StackFrame f = {.ss = &ss, .dpl = dpl_of(gate->code), .bytes = gate->bytes, .n = n + 4};
        uint64_t sp;

        _Static_assert(PARAMETERS_MAX + 4 <= STACK_FRAME_MAX, "a frame holds all parameters");
        f.sp = gate_stack(c, u, f.dpl, 0, &ss);
        f.error = ss.selector & ~3u;
        f.values[0] = c->seg[SEG_SS].selector;
        f.values[1] = c->r[RSP];
        for (unsigned i = 0; i < n; i++) {
                const uint64_t at = c->r[RSP] + i * f.bytes;

                f.values[1 + n - i] =
                        mem_read_slow(c, u, stack_address(c, u, at, f.bytes), f.bytes);
        }
        f.values[2 + n] = c->seg[SEG_CS].selector;
        f.values[3 + n] = uop_next_rip(c, u);
        sp = gate_push(c, u, &f);
        far_load_code(c, u, gate->selector, gate->code, f.dpl);
        c->seg[SEG_SS] = ss;
        cpu_mode_changed(c);
        stack_set(c, stack_mask(c), sp);
}

/** gate_transfer() - a far CALL or JMP through a call gate; false, with nothing done, when @selector names none */
bool gate_transfer(SoftCpu *c, const Uop *u, uint16_t selector, bool call) {
        CallGate gate;

        if (!read_gate(c, u, selector, call, &gate))
                return false;
        if (!call)
                far_load_code(c, u, gate.selector, gate.code, c->cpl);
        else if (!(gate.code >> 40 & TYPE_CONFORMING) && dpl_of(gate.code) < c->cpl)
                call_inner(c, u, &gate);
        else
                call_same(c, u, &gate);
        c->rip = gate.offset;
        return true;
}
