/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Branches in translated code: the ways from one block to the next without the run loop between them. Whoever arrives
 * at a block has stored all registers and flags, and has its address in r15.
 */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native_internal.h"

#define LINK_FIELD(base, field) operand_mem(base, (int32_t) offsetof(NativeFarLink, field))

/* The way to the block that is @delta bytes from this one. */
static void emit_link(Translator *t, int64_t delta) {
        Emitter *e = &t->e;
        uint64_t offset = (t->block->phys & 0xfff) + (uint64_t) delta;
        const bool far = offset > 0xfff;
        /* What is good for a part of a page is so for all of it. */
        const NativeLink *link =
                native_add_link(t->cache, far ? TLB_INVALID : t->block->phys & PAGE_MASK);
        const uint8_t *leave = native_common(t->cache, COMMON_LEAVE_LINK);
        uint8_t *jumps[4];

        emit_op(e, 0x8d | OP_W, H_R15, operand_mem(H_R15, (int32_t) delta));
        emit_mov_imm(e, H_RAX, (uintptr_t) link);
        if (!far) {
                emit_op(e, 0xff, 4, LINK_FIELD(H_RAX, link.code)); /* jmp */
                return;
        }
        emit_op(e, 0x3b | OP_W, H_R15, LINK_FIELD(H_RAX, rip));
        jumps[0] = emit_jcc_short(e, CC_NZ);
        emit_op(e, 0x8b | OP_W, H_RCX, LINK_FIELD(H_RAX, generation_at));
        emit_op(e, 0x8b | OP_W, H_RCX, operand_mem(H_RCX, 0));
        emit_op(e, 0x3b | OP_W, H_RCX, LINK_FIELD(H_RAX, generation));
        jumps[1] = emit_jcc_short(e, CC_NZ);
        emit_op(e, 0x8b | OP_W, H_RCX, LINK_FIELD(H_RAX, version_at));
        emit_op(e, 0x8b, H_RCX, operand_mem(H_RCX, 0));
        emit_op(e, 0x3b, H_RCX, LINK_FIELD(H_RAX, version));
        jumps[2] = emit_jcc_short(e, CC_NZ);
        emit_op(e, 0x8a, H_RCX, CPU_FIELD(cpl));
        emit_op(e, 0x3a, H_RCX, LINK_FIELD(H_RAX, cpl));
        jumps[3] = emit_jcc_short(e, CC_NZ);
        emit_op(e, 0xff, 4, LINK_FIELD(H_RAX, link.code));
        for (unsigned i = 0; i < 4; i++)
                emit_target_short(e, jumps[i]);
        emit_jmp_to(e, leave);
}

/* Once more through a block that keeps its registers. */
static void emit_loop(Translator *t) {
        Emitter *e = &t->e;
        uint8_t *jumps[2];

        emit_op_imm(e, 0x83, 5, CPU_FIELD(budget), 1, 1);
        jumps[0] = emit_jcc(e, CC_S);
        emit_op_imm(e, 0x83, 7, CPU_FIELD(attention), 0, 1);
        jumps[1] = emit_jcc(e, CC_NZ);
        emit_jmp_to(e, t->head);
        emit_target(e, jumps[0]);
        emit_target(e, jumps[1]);
        native_store_registers(t, &t->registers);
        emit_jmp_to(e, native_common(t->cache, COMMON_LEAVE));
}

/* All state where the next block expects it; the host's flags stay. */
static void settle(Translator *t) {
        native_save_flags(t);
        if (!t->loop)
                native_store_registers(t, &t->registers);
}

static void go(Translator *t, int64_t delta) {
        if (t->loop && delta == 0) {
                emit_loop(t);
                return;
        }
        if (t->loop)
                native_store_registers(t, &t->registers);
        emit_link(t, delta);
}

static int64_t next_delta(const Uop *u) {
        return (int64_t) u->ip + u->len;
}

/** native_end_block() - the block ends in the middle of straight code */
void native_end_block(Translator *t) {
        settle(t);
        go(t, t->block->n_bytes);
}

/* Where a direct branch may leave the canonical addresses, its handler sees to it. */
static void check_direct(Translator *t, int64_t delta) {
        uint64_t offset = (t->block->phys & 0xfff) + (uint64_t) delta;

        if (offset <= 0xfff)
                return;
        native_save_flags(t);
        t->flags_host = false;
        emit_op(&t->e, 0x8d | OP_W, H_RAX, operand_mem(H_R15, (int32_t) delta));
        emit_mov(&t->e, H_RCX, H_RAX);
        emit_op_imm(&t->e, 0xc1 | OP_W, 4, operand_reg(H_RCX), 16, 1); /* shl */
        emit_op_imm(&t->e, 0xc1 | OP_W, 7, operand_reg(H_RCX), 16, 1); /* sar */
        emit_op(&t->e, 0x3b | OP_W, H_RAX, operand_reg(H_RCX));
        native_exit_if(t, CC_NZ);
}

/* A target in rdx must be canonical before anything changes. */
static void check_indirect(Translator *t) {
        native_save_flags(t);
        t->flags_host = false;
        emit_mov(&t->e, H_RAX, H_RDX);
        emit_op_imm(&t->e, 0xc1 | OP_W, 4, operand_reg(H_RAX), 16, 1);
        emit_op_imm(&t->e, 0xc1 | OP_W, 7, operand_reg(H_RAX), 16, 1);
        emit_op(&t->e, 0x3b | OP_W, H_RAX, operand_reg(H_RDX));
        native_exit_if(t, CC_NZ);
}

static bool fits(int64_t delta) {
        return delta == (int32_t) delta;
}

static bool jcc(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        int64_t next = next_delta(u), target = next + (int64_t) u->imm;
        uint8_t *taken;

        (void) form;
        if (!fits(target))
                return false;
        native_need_flags(t);
        settle(t);
        taken = emit_jcc(&t->e, u->op);
        go(t, next);
        emit_target(&t->e, taken);
        go(t, target);
        t->ended = true;
        return true;
}

static bool jmp_rel(Translator *t, const NativeForm *form) {
        int64_t target = next_delta(t->u) + (int64_t) t->u->imm;

        (void) form;
        if (!fits(target))
                return false;
        check_direct(t, target);
        settle(t);
        go(t, target);
        t->ended = true;
        return true;
}

/* The address behind the branch onto the stack; rdx stays. */
static void push_next(Translator *t) {
        unsigned rsp = native_use(t, RSP);
        Operand memory;

        native_address_of(t, RSP, -8);
        memory = native_write(t, 8);
        emit_op(&t->e, 0x8d | OP_W, H_RAX, operand_mem(H_R15, (int32_t) next_delta(t->u)));
        emit_op(&t->e, 0x89 | OP_W, H_RAX, memory);
        rsp = native_modify(t, RSP);
        emit_op(&t->e, 0x8d | OP_W, rsp, operand_mem(rsp, -8));
}

static bool call_rel(Translator *t, const NativeForm *form) {
        int64_t target = next_delta(t->u) + (int64_t) t->u->imm;

        (void) form;
        if (!fits(target) || t->u->size != 3)
                return false;
        check_direct(t, target);
        push_next(t);
        settle(t);
        go(t, target);
        t->ended = true;
        return true;
}

#define JUMP(field)                                                                                \
        (Operand) {                                                                                \
                .memory = true, .base = H_RDI, .index = H_RAX, .scale = 3,                         \
                .disp = (int32_t) (offsetof(SoftCpu, jumps) + offsetof(JumpEntry, field))          \
        }
_Static_assert(sizeof(JumpEntry) == 8 << 2, "rax counts in eight bytes");

/* To the block at r15 by the jump cache, see find() in block.c. Each such branch has one of its own for the host to predict. */
static void look_up(Translator *t) {
        const uint8_t *leave = native_common(t->cache, COMMON_LEAVE);
        Emitter *e = &t->e;

        emit_mov(e, H_RAX, H_R15);
        emit_op_imm(e, 0xc1 | OP_W, 5, operand_reg(H_RAX), 12, 1); /* shr */
        emit_op(e, 0x33, H_RAX, operand_reg(H_R15));
        emit_op_imm(e, 0x81, 4, operand_reg(H_RAX), JUMP_CACHE - 1, 4);
        emit_op_imm(e, 0xc1, 4, operand_reg(H_RAX), 2, 1); /* shl */
        emit_op(e, 0x3b | OP_W, H_R15, JUMP(rip));
        emit_jcc_to(e, CC_NZ, leave);
        emit_op(e, 0xb6 | OP_0F, H_RCX, JUMP(which)); /* movzx */
        emit_op(e, 0x8b | OP_W, H_RCX,
                (Operand){.memory = true,
                          .base = H_RDI,
                          .index = H_RCX,
                          .scale = 3,
                          .disp = (int32_t) offsetof(SoftCpu, generation)});
        emit_op(e, 0x3b | OP_W, H_RCX, JUMP(generation));
        emit_jcc_to(e, CC_NZ, leave);
        emit_op(e, 0x8b, H_RCX, CPU_FIELD(jump_mode));
        emit_op(e, 0x3b, H_RCX, JUMP(mode));
        emit_jcc_to(e, CC_NZ, leave);
        emit_op(e, 0x8b | OP_W, H_RCX, JUMP(block));
        emit_op(e, 0x8b | OP_W, H_RDX, operand_mem(H_RCX, (int32_t) offsetof(Block, page_version)));
        emit_op(e, 0x8b, H_RDX, operand_mem(H_RDX, 0));
        emit_op(e, 0x3b, H_RDX, operand_mem(H_RCX, (int32_t) offsetof(Block, version)));
        emit_jcc_to(e, CC_NZ, leave);
        emit_op(e, 0x8b | OP_W, H_RCX, operand_mem(H_RCX, (int32_t) offsetof(Block, chain)));
        emit_op(e, 0x85 | OP_W, H_RCX, operand_reg(H_RCX)); /* test */
        emit_jcc_to(e, CC_Z, leave);
        emit_op(e, 0xff, 4, operand_reg(H_RCX)); /* jmp */
}

/* To the target in rdx. */
static void go_indirect(Translator *t) {
        settle(t);
        if (t->loop)
                native_store_registers(t, &t->registers);
        emit_mov(&t->e, H_R15, H_RDX);
        look_up(t);
        t->ended = true;
}

static bool jmp_reg(Translator *t, const NativeForm *form) {
        (void) form;
        if (t->u->size != 3)
                return false;
        emit_mov(&t->e, H_RDX, native_use(t, t->u->rm));
        check_indirect(t);
        go_indirect(t);
        return true;
}

static bool jmp_mem(Translator *t, const NativeForm *form) {
        Operand memory;

        (void) form;
        if (t->u->size != 3 || !native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_read(t, 8);
        emit_op(&t->e, 0x8b | OP_W, H_RDX, memory);
        check_indirect(t);
        go_indirect(t);
        return true;
}

static bool call_reg(Translator *t, const NativeForm *form) {
        unsigned target;

        (void) form;
        if (t->u->size != 3)
                return false;
        target = native_use(t, t->u->rm);
        emit_mov(&t->e, H_RDX, target);
        check_indirect(t);
        /* Where the stack pointer is the target, it is the one before the push. */
        emit_op(&t->e, 0x89 | OP_W, H_RDX, CPU_FIELD(native_target));
        push_next(t);
        emit_op(&t->e, 0x8b | OP_W, H_RDX, CPU_FIELD(native_target));
        go_indirect(t);
        return true;
}

static bool ret(Translator *t, const NativeForm *form) {
        Operand memory;
        unsigned rsp;

        (void) form;
        if (t->u->size != 3)
                return false;
        native_address_of(t, RSP, 0);
        memory = native_read(t, 8);
        emit_op(&t->e, 0x8b | OP_W, H_RDX, memory);
        check_indirect(t);
        rsp = native_modify(t, RSP);
        emit_op(&t->e, 0x8d | OP_W, rsp, operand_mem(rsp, (int32_t) (8 + t->u->imm)));
        go_indirect(t);
        return true;
}

/** native_add_branch() - make near branches known to the translator */
void native_add_branch(struct NativeCache *cache) {
        native_add_form(cache, op_jcc, jcc, 0, 3);
        native_add_form(cache, op_jmp_rel, jmp_rel, 0, 3);
        native_add_form(cache, op_call_rel, call_rel, 0, 3);
        native_add_form(cache, op_jmp_r, jmp_reg, 0, 3);
        native_add_form(cache, op_jmp_m, jmp_mem, 0, 3);
        native_add_form(cache, op_call_r, call_reg, 0, 3);
        native_add_form(cache, op_ret, ret, 0, 3);
}
