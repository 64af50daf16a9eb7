/* SPDX-License-Identifier: Apache-2.0 */
/* Data movement and the stack in translated code. Flags stay, but for what a memory access does to the host's. */
#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native_internal.h"

/* Results of 8 and 16 bits leave the rest of the register. */
static unsigned destination(Translator *t, unsigned size, unsigned reg) {
        return size < 2 ? native_modify(t, native_reg_number(size, reg)) : native_define(t, reg);
}

static bool mov_reg_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned from;

        if (native_high_byte(form->size, u->reg) || native_high_byte(form->size, u->rm))
                return false;
        from = native_use(t, native_reg_number(form->size, u->rm));
        emit_op(&t->e, op_sized(0x8a, form->size), destination(t, form->size, u->reg),
                operand_reg(from));
        return true;
}

static bool mov_reg_mem(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand memory;

        if (native_high_byte(form->size, u->reg) || !native_can_address(u))
                return false;
        native_address(t);
        memory = native_read(t, 1u << form->size);
        emit_op(&t->e, op_sized(0x8a, form->size), destination(t, form->size, u->reg), memory);
        return true;
}

static bool mov_mem_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand memory;
        unsigned from;

        if (native_high_byte(form->size, u->reg) || !native_can_address(u))
                return false;
        native_address(t);
        from = native_use(t, native_reg_number(form->size, u->reg));
        memory = native_write(t, 1u << form->size);
        emit_op(&t->e, op_sized(0x88, form->size), from, memory);
        return true;
}

static bool mov_reg_imm(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned to;

        if (native_high_byte(form->size, u->rm))
                return false;
        to = destination(t, form->size, u->rm);
        if (form->size < 2)
                emit_op_imm(&t->e, op_sized(0xc6, form->size), 0, operand_reg(to), u->imm,
                            form->size + 1);
        else
                emit_mov_imm(&t->e, to, form->size == 2 ? (uint32_t) u->imm : u->imm);
        return true;
}

static bool mov_mem_imm(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_write(t, 1u << form->size);
        emit_op_imm(&t->e, op_sized(0xc6, form->size), 0, memory, t->u->imm,
                    form->size < 2 ? form->size + 1 : 4);
        return true;
}

/* MOVZX, MOVSX, MOVSXD: the form's opcode is complete but for the size of the destination. */
static bool extend_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        bool byte = form->op & OP_BYTE;
        unsigned from;

        if (byte && native_high_byte(0, u->rm))
                return false;
        from = native_use(t, byte ? native_reg_number(0, u->rm) : u->rm);
        emit_op(&t->e, op_wide(form->op, form->size), destination(t, form->size, u->reg),
                operand_reg(from));
        return true;
}

static bool extend_mem(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_read(t, form->op & OP_BYTE ? 1 : form->op & OP_0F ? 2 : 4);
        emit_op(&t->e, op_wide(form->op, form->size), destination(t, form->size, t->u->reg),
                memory);
        return true;
}

/* ---- by condition ---- */

static bool cmov_reg_reg(Translator *t, const NativeForm *form) {
        unsigned from = native_use(t, t->u->rm), to = native_modify(t, t->u->reg);

        native_need_flags(t);
        emit_op(&t->e, op_wide(0x40 | t->u->op | OP_0F, form->size), to, operand_reg(from));
        return true;
}

static bool cmov_reg_mem(Translator *t, const NativeForm *form) {
        Operand memory;
        unsigned to;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        (void) native_use(t, t->u->reg);
        memory = native_read(t, 1u << form->size);
        to = native_modify(t, t->u->reg);
        native_need_flags(t);
        emit_op(&t->e, op_wide(0x40 | t->u->op | OP_0F, form->size), to, memory);
        return true;
}

static bool setcc_reg(Translator *t, const NativeForm *form) {
        unsigned to;

        (void) form;
        if (native_high_byte(0, t->u->rm))
                return false;
        to = native_modify(t, native_reg_number(0, t->u->rm));
        native_need_flags(t);
        emit_op(&t->e, 0x90 | t->u->op | OP_0F | OP_BYTE, 0, operand_reg(to));
        return true;
}

static bool setcc_mem(Translator *t, const NativeForm *form) {
        Operand memory;

        (void) form;
        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_write(t, 1);
        native_need_flags(t);
        emit_op(&t->e, 0x90 | t->u->op | OP_0F, 0, memory);
        return true;
}

/* ---- between registers ---- */

static bool lea(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand o;

        (void) form;
        if (!native_can_address(u) || u->size < 2)
                return false;
        o = native_offset(t);
        emit_op(&t->e, op_wide(0x8d, u->size), native_define(t, u->reg), o);
        return true;
}

static bool xchg_reg_reg(Translator *t, const NativeForm *form) {
        unsigned a = native_modify(t, t->u->reg), b = native_modify(t, t->u->rm);
        uint32_t mov = op_wide(0x8b, form->size);

        emit_op(&t->e, mov, H_RAX, operand_reg(a));
        emit_op(&t->e, mov, a, operand_reg(b));
        emit_op(&t->e, mov, b, operand_reg(H_RAX));
        return true;
}

static bool bswap(Translator *t, const NativeForm *form) {
        unsigned reg = native_modify(t, t->u->rm);

        emit_byte(&t->e, (uint8_t) (0x40 | (form->size == 3 ? 8 : 0) | reg >> 3));
        emit_byte(&t->e, 0x0f);
        emit_byte(&t->e, (uint8_t) (0xc8 | (reg & 7)));
        return true;
}

/* CWDE, CDQE */
static bool convert_a(Translator *t, const NativeForm *form) {
        unsigned reg;

        (void) form;
        if (t->u->size < 2)
                return false;
        reg = native_modify(t, RAX);
        emit_op(&t->e, t->u->size == 2 ? 0xbf | OP_0F : 0x63 | OP_W, reg, operand_reg(reg));
        return true;
}

/* CDQ, CQO */
static bool convert_d(Translator *t, const NativeForm *form) {
        (void) form;
        if (t->u->size < 2)
                return false;
        emit_mov(&t->e, H_RAX, native_use(t, RAX));
        if (t->u->size == 3)
                emit_byte(&t->e, 0x48);
        emit_byte(&t->e, 0x99);
        emit_mov(&t->e, native_define(t, RDX), H_RDX);
        return true;
}

static bool nothing(Translator *t, const NativeForm *form) {
        (void) t, (void) form;
        return true;
}

/* ---- the stack ---- */

static void move_stack_pointer(Translator *t, int32_t by) {
        unsigned rsp = native_modify(t, RSP);

        emit_op(&t->e, 0x8d | OP_W, rsp, operand_mem(rsp, by));
}

static bool push_reg(Translator *t, const NativeForm *form) {
        unsigned from = native_use(t, t->u->rm);
        Operand memory;

        (void) form;
        native_address_of(t, RSP, -8);
        memory = native_write(t, 8);
        emit_op(&t->e, 0x89 | OP_W, from, memory);
        move_stack_pointer(t, -8);
        return true;
}

static bool push_imm(Translator *t, const NativeForm *form) {
        Operand memory;

        (void) form;
        if (t->u->size != 3)
                return false;
        native_address_of(t, RSP, -8);
        memory = native_write(t, 8);
        emit_op_imm(&t->e, 0xc7 | OP_W, 0, memory, t->u->imm, 4);
        move_stack_pointer(t, -8);
        return true;
}

static bool pop_reg(Translator *t, const NativeForm *form) {
        Operand memory;

        (void) form;
        native_address_of(t, RSP, 0);
        memory = native_read(t, 8);
        emit_op(&t->e, 0x8b | OP_W, H_RAX, memory);
        move_stack_pointer(t, 8);
        emit_mov(&t->e, native_define(t, t->u->rm), H_RAX);
        return true;
}

static bool leave(Translator *t, const NativeForm *form) {
        unsigned rbp = native_use(t, RBP);
        Operand memory;

        (void) form;
        if (t->u->size != 3)
                return false;
        native_address_of(t, RBP, 0);
        memory = native_read(t, 8);
        emit_op(&t->e, 0x8d | OP_W, native_define(t, RSP), operand_mem(rbp, 8));
        emit_op(&t->e, 0x8b | OP_W, native_define(t, RBP), memory);
        return true;
}

/** native_add_moves() - make data movement known to the translator */
void native_add_moves(struct NativeCache *cache) {
        static const uint32_t zero[2] = {0xb6 | OP_0F | OP_BYTE, 0xb7 | OP_0F};
        static const uint32_t sign[3] = {0xbe | OP_0F | OP_BYTE, 0xbf | OP_0F, 0x63};

        native_add_sizes(cache, mov_rr, 0, mov_reg_reg, 0);
        native_add_sizes(cache, mov_rm, 0, mov_reg_mem, 0);
        native_add_sizes(cache, mov_mr, 0, mov_mem_reg, 0);
        native_add_sizes(cache, mov_ri, 0, mov_reg_imm, 0);
        native_add_sizes(cache, mov_mi, 0, mov_mem_imm, 0);
        for (unsigned i = 0; i < ELEMENTSOF(zero); i++) {
                native_add_sizes(cache, movzx_rr[i], 1, extend_reg, zero[i]);
                native_add_sizes(cache, movzx_rm[i], 1, extend_mem, zero[i]);
        }
        for (unsigned i = 0; i < ELEMENTSOF(sign); i++) {
                native_add_sizes(cache, movsx_rr[i], i == 2 ? 3 : 1, extend_reg, sign[i]);
                native_add_sizes(cache, movsx_rm[i], i == 2 ? 3 : 1, extend_mem, sign[i]);
        }
        native_add_sizes(cache, cmov_rr, 1, cmov_reg_reg, 0);
        native_add_sizes(cache, cmov_rm, 1, cmov_reg_mem, 0);
        native_add_sizes(cache, xchg_rr, 1, xchg_reg_reg, 0);
        native_add_sizes(cache, bswap_r, 2, bswap, 0);
        native_add_form(cache, op_setcc_r, setcc_reg, 0, 0);
        native_add_form(cache, op_setcc_m, setcc_mem, 0, 0);
        native_add_form(cache, op_lea, lea, 0, 0);
        native_add_form(cache, op_convert_a, convert_a, 0, 0);
        native_add_form(cache, op_convert_d, convert_d, 0, 0);
        native_add_form(cache, op_nop, nothing, 0, 0);
        native_add_form(cache, op_push_r64, push_reg, 0, 3);
        native_add_form(cache, op_pop_r64, pop_reg, 0, 3);
        native_add_form(cache, op_push_i, push_imm, 0, 3);
        native_add_form(cache, op_leave, leave, 0, 3);
}
