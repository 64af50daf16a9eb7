/* SPDX-License-Identifier: Apache-2.0 */
/* The stack, and near control transfer, which keeps its return addresses there. */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"

/* ---- the stack ---- */

/* Where an instruction has a memory operand besides, the segment in its Uop is that one's. */
static inline void check_stack(SoftCpu *c, const Uop *u, uint64_t sp) {
        if (unlikely(cpu_code64(c) &&
                     (!is_canonical(sp) || !is_canonical(sp + (1u << u->size) - 1))))
                cpu_raise_code(c, u, EXC_SS, 0);
}

static inline void push(SoftCpu *c, const Uop *u, unsigned size, uint64_t v) {
        uint64_t sp = c->r[RSP] - (1u << size);

        write_sized(c, u, stack_address(c, u, sp, 1u << size), size, v);
        stack_set(c, stack_mask(c), sp);
}

static inline uint64_t pop(SoftCpu *c, const Uop *u, unsigned size) {
        uint64_t v = read_sized(c, u, stack_address(c, u, c->r[RSP], 1u << size), size);

        stack_set(c, stack_mask(c), c->r[RSP] + (1u << size));
        return v;
}

void op_push_r64(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP] - 8;

        mem_write64(c, u, sp, c->r[u->rm]);
        c->r[RSP] = sp;
        NEXT(c, u);
}

void op_pop_r64(SoftCpu *c, const Uop *u) {
        uint64_t v = mem_read64(c, u, c->r[RSP]);

        c->r[RSP] += 8;
        c->r[u->rm] = v;
        NEXT(c, u);
}

void op_push_r(SoftCpu *c, const Uop *u) {
        push(c, u, u->size, get_reg(c, u->size, u->rm));
        NEXT(c, u);
}

void op_pop_r(SoftCpu *c, const Uop *u) {
        uint64_t v = pop(c, u, u->size);

        set_reg(c, u->size, u->rm, v);
        NEXT(c, u);
}

void op_push_i(SoftCpu *c, const Uop *u) {
        push(c, u, u->size, u->imm);
        NEXT(c, u);
}

void op_push_m(SoftCpu *c, const Uop *u) {
        uint64_t v = read_sized(c, u, ea(c, u), u->size);

        check_stack(c, u, c->r[RSP] - (1u << u->size));
        push(c, u, u->size, v);
        NEXT(c, u);
}

void op_pop_m(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP], v, va;

        check_stack(c, u, sp);
        v = read_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size);
        /* An address based on the stack pointer is formed with the value after the pop. */
        stack_set(c, stack_mask(c), sp + (1u << u->size));
        va = c->r[u->base] + (c->r[u->index] << u->scale) + (uint64_t) (int64_t) u->disp;
        if (u->ea != (EA_PLAIN | 3u << 4)) {
                uint64_t after = c->r[RSP];

                /* ea_slow() may fault, and the pointer must be the old one then. */
                c->r[RSP] = sp;
                if (u->base == RSP) {
                        Uop moved = *u;

                        moved.disp = (int32_t) ((uint32_t) moved.disp + (1u << u->size));
                        va = ea_slow(c, &moved);
                } else {
                        va = ea_slow(c, u);
                }
                write_sized(c, u, va, u->size, v);
                c->r[RSP] = after;
        } else {
                c->r[RSP] = sp;
                write_sized(c, u, va, u->size, v);
                stack_set(c, stack_mask(c), sp + (1u << u->size));
        }
        NEXT(c, u);
}

void op_leave(SoftCpu *c, const Uop *u) {
        uint64_t frame = c->r[RBP],
                 v = read_sized(c, u, stack_address(c, u, frame, 1u << u->size), u->size);

        stack_set(c, stack_mask(c), frame + (1u << u->size));
        set_reg(c, u->size, RBP, v);
        NEXT(c, u);
}

/* ENTER with nesting level 0 and more; imm: bytes, level in bits 16-20. */
void op_enter(SoftCpu *c, const Uop *u) {
        unsigned level = (u->imm >> 16) & 31, bytes = 1u << u->size;
        uint64_t sp = c->r[RSP], frame, bp = c->r[RBP];

        sp -= bytes;
        write_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size, bp);
        frame = (c->r[RSP] & ~stack_mask(c)) | (sp & stack_mask(c)); /* a borrow stays in SP */
        for (unsigned i = 1; i < level; i++) {
                uint64_t v;

                bp -= bytes;
                v = read_sized(c, u, stack_address(c, u, bp, 1u << u->size), u->size);
                sp -= bytes;
                write_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size, v);
        }
        if (level > 0) {
                sp -= bytes;
                write_sized(c, u, stack_address(c, u, sp, 1u << u->size), u->size, frame);
        }
        sp -= u->imm & 0xffff;
        /* What will be the top of the stack must be writable. */
        (void) mem_begin(c, u, stack_address(c, u, sp, 1u << u->size), bytes);
        c->post_write = 0;
        set_reg(c, u->size, RBP, frame);
        stack_set(c, stack_mask(c), sp);
        NEXT(c, u);
}

void op_pusha(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP];
        unsigned bytes = 1u << u->size;

        for (unsigned i = 0; i < 8; i++)
                write_sized(c, u, stack_address(c, u, sp - (i + 1) * bytes, 1u << u->size), u->size,
                            i == 4 ? sp : c->r[i]);
        stack_set(c, stack_mask(c), sp - 8 * bytes);
        NEXT(c, u);
}

void op_popa(SoftCpu *c, const Uop *u) {
        uint64_t sp = c->r[RSP], v[8];
        unsigned bytes = 1u << u->size;

        for (unsigned i = 0; i < 8; i++)
                v[i] = read_sized(c, u, stack_address(c, u, sp + i * bytes, 1u << u->size),
                                  u->size);
        for (unsigned i = 0; i < 8; i++)
                if (i != 3)
                        set_reg(c, u->size, 7 - i, v[i]);
        stack_set(c, stack_mask(c), sp + 8 * bytes);
        NEXT(c, u);
}

void op_pushf(SoftCpu *c, const Uop *u) {
        const uint32_t flags = v86_vif_is_if(c, u) ? v86_flags(c) : cpu_flags(c);

        push(c, u, u->size, flags & ~(FLAG_VM | FLAG_RF));
        NEXT(c, u);
}

void op_popf(SoftCpu *c, const Uop *u) {
        uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID;
        uint32_t old = c->flags;
        uint64_t v;

        if (unlikely(v86_vif_is_if(c, u))) {
                const uint64_t sp = c->r[RSP];

                v86_set_flags(c, u, (uint32_t) mem_read_slow(c, u, stack_address(c, u, sp, 2), 2));
                stack_set(c, stack_mask(c), sp + 2);
                NEXT(c, u);
        }
        v = pop(c, u, u->size);
        if (c->cpl == 0)
                mask |= FLAG_IOPL;
        if (c->cpl <= (c->flags & FLAG_IOPL) >> 12)
                mask |= FLAG_IF;
        if (u->size == 1)
                mask &= 0xffff;
        cpu_set_flags(c, (uint32_t) v, mask);
        /* Interrupts that were held off, and single steps, are looked at between blocks. */
        if ((c->flags & ~old & FLAG_IF) || (c->flags & FLAG_TF))
                GOTO(c, uop_next_rip(c, u));
        NEXT(c, u);
}

/* ---- near transfers; a block ends with each of them ---- */

static inline uint64_t near_mask(const SoftCpu *c, const Uop *u) {
        return cpu_code64(c) ? UINT64_MAX : u->size == 1 ? 0xffff : UINT32_MAX;
}

static inline void check_target(SoftCpu *c, const Uop *u, uint64_t target) {
        if (cpu_code64(c)) {
                if (unlikely(!is_canonical(target)))
                        cpu_raise_code(c, u, EXC_GP, 0);
        } else if (unlikely(target > c->seg[SEG_CS].limit)) {
                cpu_raise_code(c, u, EXC_GP, 0);
        }
}

void op_jcc(SoftCpu *c, const Uop *u) {
        uint64_t next = uop_next_rip(c, u);

        if (condition(c->af, u->op))
                GOTO(c, (next + u->imm) & near_mask(c, u));
        GOTO(c, next);
}

void op_jmp_rel(SoftCpu *c, const Uop *u) {
        uint64_t target = (uop_next_rip(c, u) + u->imm) & near_mask(c, u);

        check_target(c, u, target);
        GOTO(c, target);
}

void op_jmp_r(SoftCpu *c, const Uop *u) {
        uint64_t target = get_reg(c, u->size, u->rm);

        check_target(c, u, target);
        GOTO(c, target);
}

void op_jmp_m(SoftCpu *c, const Uop *u) {
        uint64_t target = read_sized(c, u, ea(c, u), u->size);

        check_target(c, u, target);
        GOTO(c, target);
}

void op_call_rel(SoftCpu *c, const Uop *u) {
        uint64_t next = uop_next_rip(c, u), target = (next + u->imm) & near_mask(c, u);

        check_target(c, u, target);
        push(c, u, u->size, next);
        GOTO(c, target);
}

void op_call_r(SoftCpu *c, const Uop *u) {
        uint64_t target = get_reg(c, u->size, u->rm);

        check_target(c, u, target);
        push(c, u, u->size, uop_next_rip(c, u));
        GOTO(c, target);
}

void op_call_m(SoftCpu *c, const Uop *u) {
        uint64_t target = read_sized(c, u, ea(c, u), u->size);

        check_target(c, u, target);
        check_stack(c, u, c->r[RSP] - (1u << u->size));
        push(c, u, u->size, uop_next_rip(c, u));
        GOTO(c, target);
}

void op_ret(SoftCpu *c, const Uop *u) {
        uint64_t target = read_sized(c, u, stack_address(c, u, c->r[RSP], 1u << u->size), u->size);

        check_target(c, u, target);
        stack_set(c, stack_mask(c), c->r[RSP] + (1u << u->size) + u->imm);
        GOTO(c, target);
}

/* LOOPNE, LOOPE, LOOP (op 0, 1, 2); the counter has the address size. */
void op_loop_rel(SoftCpu *c, const Uop *u) {
        uint64_t count, next = uop_next_rip(c, u);
        bool taken;

        switch (UOP_ADDRESS_SIZE(u)) {
        case 1:
                count = --R16(c, RCX);
                break;
        case 2:
                count = c->r[RCX] = (uint32_t) (c->r[RCX] - 1);
                break;
        default:
                count = --c->r[RCX];
                break;
        }
        taken = count != 0 && (u->op == 2 || ((c->af & AF_ZF) != 0) == (u->op == 1));
        GOTO(c, taken ? (next + u->imm) & near_mask(c, u) : next);
}

void op_jcxz_rel(SoftCpu *c, const Uop *u) {
        uint64_t next = uop_next_rip(c, u);
        unsigned size = UOP_ADDRESS_SIZE(u);
        uint64_t count = size == 1 ? R16(c, RCX) : size == 2 ? R32(c, RCX) : c->r[RCX];

        GOTO(c, count == 0 ? (next + u->imm) & near_mask(c, u) : next);
}
