/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer arithmetic in translated code: the guest's instruction on the registers that hold its operands. In a form, the
 * opcode is that for byte operands.
 */
#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native_internal.h"

/* What an instruction takes from the flags that were, beside its operands. */
#define NEEDS_NOTHING 0u
#define NEEDS_CARRY 0x10000u
#define NEEDS_FLAGS 0x20000u /* it may leave some or all of them */
#define NO_RESULT 0x40000u   /* CMP, TEST, BT: the operand is only read */
#define DIGIT(n) ((uint32_t) (n) << 20)
#define FORM_DIGIT(op) ((op) >> 20 & 7u)
#define FORM_OPCODE(op) ((op) &0xffffu)

static void need(Translator *t, uint32_t op) {
        if (op & NEEDS_FLAGS)
                native_need_flags(t);
        else if (op & NEEDS_CARRY)
                native_need_carry(t);
}

static unsigned operand_register(Translator *t, uint32_t op, unsigned guest) {
        return op & NO_RESULT ? native_use(t, guest) : native_modify(t, guest);
}

static Operand operand_memory(Translator *t, uint32_t op, unsigned size) {
        return op & NO_RESULT ? native_read(t, 1u << size) : native_write(t, 1u << size);
}

static uint32_t sized(const NativeForm *form) {
        return op_sized(FORM_OPCODE(form->op), form->size);
}

static bool unreachable_operands(const Uop *u, unsigned size) {
        return native_high_byte(size, u->reg) || native_high_byte(size, u->rm);
}

/* op %rm, %reg */
static bool alu_reg_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned from, to;

        if (unreachable_operands(u, form->size))
                return false;
        from = native_use(t, native_reg_number(form->size, u->rm));
        to = operand_register(t, form->op, native_reg_number(form->size, u->reg));
        need(t, form->op);
        emit_op(&t->e, sized(form), from, operand_reg(to));
        native_set_flags(t);
        return true;
}

/* op memory, %reg: the opcode's form with the direction turned */
static bool alu_reg_mem(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand memory;
        unsigned reg;

        if (native_high_byte(form->size, u->reg) || !native_can_address(u))
                return false;
        native_address(t);
        reg = native_use(t, native_reg_number(form->size, u->reg));
        memory = native_read(t, 1u << form->size);
        reg = operand_register(t, form->op, native_reg_number(form->size, u->reg));
        need(t, form->op);
        emit_op(&t->e, sized(form) | 2, reg, memory);
        native_set_flags(t);
        return true;
}

/* op %reg, memory */
static bool alu_mem_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand memory;
        unsigned reg;

        if (native_high_byte(form->size, u->reg) || !native_can_address(u))
                return false;
        native_address(t);
        reg = native_use(t, native_reg_number(form->size, u->reg));
        memory = operand_memory(t, form->op, form->size);
        need(t, form->op);
        emit_op(&t->e, sized(form) | (form->op & OP_LOCK), reg, memory);
        native_set_flags(t);
        return true;
}

static unsigned immediate_bytes(unsigned size) {
        return size == 0 ? 1 : size == 1 ? 2 : 4;
}

/* The group with an immediate of the operand's size, or of a byte where that is the same number. */
static void emit_alu_imm(Translator *t, const NativeForm *form, Operand operand) {
        uint64_t imm = t->u->imm;
        bool small = form->size > 0 && imm == (uint64_t) (int64_t) (int8_t) imm;

        emit_op_imm(&t->e,
                    (small ? op_wide(0x83, form->size) : op_sized(0x80, form->size)) |
                            (form->op & OP_LOCK),
                    FORM_DIGIT(form->op), operand, imm, small ? 1 : immediate_bytes(form->size));
}

static bool alu_reg_imm(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned reg;

        if (native_high_byte(form->size, u->rm))
                return false;
        reg = operand_register(t, form->op, native_reg_number(form->size, u->rm));
        need(t, form->op);
        emit_alu_imm(t, form, operand_reg(reg));
        native_set_flags(t);
        return true;
}

static bool alu_mem_imm(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = operand_memory(t, form->op, form->size);
        need(t, form->op);
        emit_alu_imm(t, form, memory);
        native_set_flags(t);
        return true;
}

static bool test_reg_imm(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned reg;

        if (native_high_byte(form->size, u->rm))
                return false;
        reg = native_use(t, native_reg_number(form->size, u->rm));
        emit_op_imm(&t->e, sized(form), 0, operand_reg(reg), u->imm, immediate_bytes(form->size));
        native_set_flags(t);
        return true;
}

static bool test_mem_imm(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_read(t, 1u << form->size);
        emit_op_imm(&t->e, sized(form), 0, memory, t->u->imm, immediate_bytes(form->size));
        native_set_flags(t);
        return true;
}

/* ---- NOT NEG INC DEC, shifts: one operand ---- */

static bool unary_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        bool no_flags = (form->op & 0xff) == 0xf6 && FORM_DIGIT(form->op) == 2; /* NOT */
        unsigned reg;

        if (native_high_byte(form->size, u->rm))
                return false;
        reg = native_modify(t, native_reg_number(form->size, u->rm));
        need(t, form->op);
        emit_op(&t->e, sized(form), FORM_DIGIT(form->op), operand_reg(reg));
        if (!no_flags)
                native_set_flags(t);
        return true;
}

static bool unary_mem(Translator *t, const NativeForm *form) {
        bool no_flags = (form->op & 0xff) == 0xf6 && FORM_DIGIT(form->op) == 2;
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_write(t, 1u << form->size);
        need(t, form->op);
        emit_op(&t->e, sized(form) | (form->op & OP_LOCK), FORM_DIGIT(form->op), memory);
        if (!no_flags)
                native_set_flags(t);
        return true;
}

static bool shift_imm(Translator *t, const NativeForm *form, Operand operand) {
        unsigned count = (unsigned) t->u->imm & (form->size == 3 ? 63 : 31);

        if (count)
                need(t, form->op);
        emit_op_imm(&t->e, sized(form), FORM_DIGIT(form->op), operand, count, 1);
        if (count)
                native_set_flags(t);
        return true;
}

static bool shift_reg_imm(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        if (native_high_byte(form->size, u->rm))
                return false;
        return shift_imm(t, form,
                         operand_reg(native_modify(t, native_reg_number(form->size, u->rm))));
}

static bool shift_mem_imm(Translator *t, const NativeForm *form) {
        if (!native_can_address(t->u))
                return false;
        native_address(t);
        return shift_imm(t, form, native_write(t, 1u << form->size));
}

/* By CL. A count of 0 leaves the flags. */
static bool shift_reg_cl(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned reg, count;

        if (native_high_byte(form->size, u->rm))
                return false;
        count = native_use(t, RCX);
        reg = native_modify(t, native_reg_number(form->size, u->rm));
        native_need_flags(t);
        emit_mov(&t->e, H_RCX, count);
        emit_op(&t->e, sized(form), FORM_DIGIT(form->op), operand_reg(reg));
        native_set_flags(t);
        return true;
}

static bool shift_mem_cl(Translator *t, const NativeForm *form) {
        unsigned count;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        count = native_use(t, RCX);
        (void) native_write(t, 1u << form->size);
        native_need_flags(t);
        emit_mov(&t->e, H_RDX, H_RCX);
        emit_mov(&t->e, H_RCX, count);
        emit_op(&t->e, sized(form), FORM_DIGIT(form->op), operand_mem(H_RDX, 0));
        native_set_flags(t);
        return true;
}

/* SHLD, SHRD by a number other than 0, or by CL */
static bool double_shift_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        bool by_cl = u->imm == 0x100;
        unsigned from = native_use(t, u->reg), to, count = 0;

        if (by_cl)
                count = native_use(t, RCX);
        to = native_modify(t, u->rm);
        native_need_flags(t);
        if (by_cl) {
                emit_mov(&t->e, H_RCX, count);
                emit_op(&t->e, op_wide(FORM_OPCODE(form->op) | 1, form->size), from,
                        operand_reg(to));
        } else {
                emit_op_imm(&t->e, op_wide(FORM_OPCODE(form->op), form->size), from,
                            operand_reg(to), u->imm, 1);
        }
        native_set_flags(t);
        return true;
}

/* ---- multiplication ---- */

static bool imul_reg_reg(Translator *t, const NativeForm *form) {
        unsigned from = native_use(t, t->u->rm), to = native_modify(t, t->u->reg);

        emit_op(&t->e, op_wide(0xaf | OP_0F, form->size), to, operand_reg(from));
        native_set_flags(t);
        return true;
}

static bool imul_reg_mem(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        (void) native_use(t, t->u->reg);
        memory = native_read(t, 1u << form->size);
        emit_op(&t->e, op_wide(0xaf | OP_0F, form->size), native_modify(t, t->u->reg), memory);
        native_set_flags(t);
        return true;
}

/* With an immediate; a result of 16 bits leaves the rest of the register. */
static void imul_imm(Translator *t, const NativeForm *form, Operand from) {
        unsigned to = form->size == 1 ? native_modify(t, t->u->reg) : native_define(t, t->u->reg);

        emit_op_imm(&t->e, op_wide(0x69, form->size), to, from, t->u->imm,
                    immediate_bytes(form->size));
        native_set_flags(t);
}

static bool imul_reg_reg_imm(Translator *t, const NativeForm *form) {
        imul_imm(t, form, operand_reg(native_use(t, t->u->rm)));
        return true;
}

static bool imul_reg_mem_imm(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        memory = native_read(t, 1u << form->size);
        imul_imm(t, form, memory);
        return true;
}

/* RDX:RAX = RAX * operand, of 32 or 64 bits */
static void multiply(Translator *t, const NativeForm *form, Operand operand) {
        emit_mov(&t->e, H_RAX, native_use(t, RAX));
        emit_op(&t->e, sized(form), FORM_DIGIT(form->op), operand);
        native_set_flags(t);
        emit_mov(&t->e, native_define(t, RAX), H_RAX);
        emit_mov(&t->e, native_define(t, RDX), H_RDX);
}

static bool multiply_reg(Translator *t, const NativeForm *form) {
        multiply(t, form, operand_reg(native_use(t, t->u->rm)));
        return true;
}

static bool multiply_mem(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        (void) native_use(t, RAX);
        memory = native_read(t, 1u << form->size);
        multiply(t, form, memory);
        return true;
}

/* ---- bits ---- */

static bool bit_reg_imm(Translator *t, const NativeForm *form) {
        unsigned reg = operand_register(t, form->op, t->u->rm);

        native_need_flags(t);
        emit_op_imm(&t->e, op_wide(0xba | OP_0F, form->size), FORM_DIGIT(form->op),
                    operand_reg(reg), t->u->imm, 1);
        native_set_flags(t);
        return true;
}

static bool bit_reg_reg(Translator *t, const NativeForm *form) {
        unsigned bit = native_use(t, t->u->reg), reg = operand_register(t, form->op, t->u->rm);

        native_need_flags(t);
        emit_op(&t->e, op_wide(0x83 | OP_0F, form->size) | FORM_DIGIT(form->op) << 3, bit,
                operand_reg(reg));
        native_set_flags(t);
        return true;
}

/* BSF, BSR and POPCNT: of 0, the first two leave their destination. */
static bool scan_reg(Translator *t, const NativeForm *form) {
        unsigned from = native_use(t, t->u->rm), to = native_modify(t, t->u->reg);

        native_need_flags(t);
        emit_op(&t->e, op_wide(FORM_OPCODE(form->op), form->size), to, operand_reg(from));
        native_set_flags(t);
        return true;
}

/* ---- exchanges with memory ---- */

/* XADD: what was in memory goes to the register. */
static bool exchange_add(Translator *t, const NativeForm *form) {
        Operand memory;
        unsigned reg;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        (void) native_use(t, t->u->reg);
        memory = native_write(t, 1u << form->size);
        reg = native_modify(t, t->u->reg);
        emit_op(&t->e, op_wide(0xc1 | OP_0F, form->size) | (form->op & OP_LOCK), reg, memory);
        native_set_flags(t);
        return true;
}

static bool exchange_mem(Translator *t, const NativeForm *form) {
        Operand memory;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        (void) native_use(t, t->u->reg);
        memory = native_write(t, 1u << form->size);
        emit_op(&t->e, op_wide(0x87, form->size), native_modify(t, t->u->reg), memory);
        return true;
}

/* The accumulator changes only where the comparison fails. */
static bool compare_exchange(Translator *t, const NativeForm *form) {
        Operand memory;
        unsigned reg, rax;

        if (!native_can_address(t->u))
                return false;
        native_address(t);
        reg = native_use(t, t->u->reg);
        (void) native_use(t, RAX);
        memory = native_write(t, 1u << form->size);
        rax = native_modify(t, RAX);
        emit_mov(&t->e, H_RAX, rax);
        emit_op(&t->e, op_wide(0xb1 | OP_0F, form->size) | (form->op & OP_LOCK), reg, memory);
        native_set_flags(t);
        emit_op(&t->e, 0x40 | CC_NZ | OP_0F | OP_W, rax, operand_reg(H_RAX)); /* cmovnz */
        return true;
}

/* ---- flags alone ---- */

static bool set_carry(Translator *t, const NativeForm *form) {
        native_need_flags(t);
        emit_byte(&t->e, (uint8_t) form->op);
        native_set_flags(t);
        return true;
}

/* ---- the table ---- */

static void add_alu(struct NativeCache *cache) {
        for (uint32_t op = 0; op < 8; op++) {
                uint32_t what = op << 3 | DIGIT(op);

                if (op == ALU_ADC || op == ALU_SBB)
                        what |= NEEDS_CARRY;
                if (op == ALU_CMP)
                        what |= NO_RESULT;
                native_add_sizes(cache, alu_rr[op], 0, alu_reg_reg, what);
                native_add_sizes(cache, alu_rm[op], 0, alu_reg_mem, what);
                native_add_sizes(cache, alu_mr[op], 0, alu_mem_reg, what);
                native_add_sizes(cache, alu_ri[op], 0, alu_reg_imm, what);
                native_add_sizes(cache, alu_mi[op], 0, alu_mem_imm, what);
                if (op == ALU_CMP)
                        continue;
                native_add_sizes(cache, alu_mr_lock[op], 0, alu_mem_reg, what | OP_LOCK);
                native_add_sizes(cache, alu_mi_lock[op], 0, alu_mem_imm, what | OP_LOCK);
        }
        native_add_sizes(cache, test_rr, 0, alu_reg_reg, 0x84 | NO_RESULT);
        native_add_sizes(cache, test_mr, 0, alu_mem_reg, 0x84 | NO_RESULT);
        native_add_sizes(cache, test_ri, 0, test_reg_imm, 0xf6);
        native_add_sizes(cache, test_mi, 0, test_mem_imm, 0xf6);
}

static void add_one_operand(struct NativeCache *cache) {
        static const uint32_t unary[4] = {
                [UNARY_NOT] = 0xf6 | DIGIT(2),
                [UNARY_NEG] = 0xf6 | DIGIT(3),
                [UNARY_INC] = 0xfe | DIGIT(0) | NEEDS_CARRY,
                [UNARY_DEC] = 0xfe | DIGIT(1) | NEEDS_CARRY,
        };

        for (unsigned op = 0; op < 4; op++) {
                native_add_sizes(cache, unary_r[op], 0, unary_reg, unary[op]);
                native_add_sizes(cache, unary_m[op], 0, unary_mem, unary[op]);
                native_add_sizes(cache, unary_m_lock[op], 0, unary_mem, unary[op] | OP_LOCK);
        }
        for (uint32_t op = 0; op < 8; op++) {
                uint32_t digit = DIGIT(op == 6 ? 4 : op);

                /* Shifts of whole registers by a number leave nothing of the flags that were; the first form counts. */
                if (op >= 4) {
                        native_add_sizes(cache, shift_ri[op], 2, shift_reg_imm, 0xc0 | digit);
                        native_add_sizes(cache, shift_mi[op], 2, shift_mem_imm, 0xc0 | digit);
                }
                native_add_sizes(cache, shift_ri[op], 0, shift_reg_imm, 0xc0 | digit | NEEDS_FLAGS);
                native_add_sizes(cache, shift_mi[op], 0, shift_mem_imm, 0xc0 | digit | NEEDS_FLAGS);
                native_add_sizes(cache, shift_rc[op], 0, shift_reg_cl, 0xd2 | digit);
                native_add_sizes(cache, shift_mc[op], 0, shift_mem_cl, 0xd2 | digit);
        }
        native_add_sizes(cache, shld_rr[0], 1, double_shift_reg, 0xa4 | OP_0F);
        native_add_sizes(cache, shld_rr[1], 1, double_shift_reg, 0xac | OP_0F);
}

static void add_multiplication(struct NativeCache *cache) {
        native_add_sizes(cache, imul_rr, 1, imul_reg_reg, 0);
        native_add_sizes(cache, imul_rm, 1, imul_reg_mem, 0);
        native_add_sizes(cache, imul_rri, 1, imul_reg_reg_imm, 0);
        native_add_sizes(cache, imul_rmi, 1, imul_reg_mem_imm, 0);
        native_add_sizes(cache, mul_r, 2, multiply_reg, 0xf6 | DIGIT(4));
        native_add_sizes(cache, mul_m, 2, multiply_mem, 0xf6 | DIGIT(4));
        native_add_sizes(cache, imul1_r, 2, multiply_reg, 0xf6 | DIGIT(5));
        native_add_sizes(cache, imul1_m, 2, multiply_mem, 0xf6 | DIGIT(5));
}

/** native_add_alu() - make integer arithmetic known to the translator */
void native_add_alu(struct NativeCache *cache) {
        add_alu(cache);
        add_one_operand(cache);
        add_multiplication(cache);
        for (uint32_t op = 0; op < 4; op++) {
                uint32_t what = DIGIT(4 + op) | (op == 0 ? NO_RESULT : 0);

                native_add_sizes(cache, bt_ri[op], 1, bit_reg_imm, what);
                native_add_sizes(cache, bt_rr[op], 1, bit_reg_reg, what);
        }
        native_add_sizes(cache, scan_rr[SCAN_BSF], 1, scan_reg, 0xbc | OP_0F);
        native_add_sizes(cache, scan_rr[SCAN_BSR], 1, scan_reg, 0xbd | OP_0F);
        native_add_sizes(cache, scan_rr[SCAN_POPCNT], 2, scan_reg, 0xb8 | OP_0F | OP_F3);
        native_add_sizes(cache, xadd_mr, 2, exchange_add, 0);
        native_add_sizes(cache, xadd_mr_lock, 2, exchange_add, OP_LOCK);
        native_add_sizes(cache, xchg_mr, 2, exchange_mem, OP_LOCK); /* without a prefix, too */
        native_add_sizes(cache, cmpxchg_mr, 2, compare_exchange, 0);
        native_add_sizes(cache, cmpxchg_mr_lock, 2, compare_exchange, OP_LOCK);
        native_add_form(cache, op_clc, set_carry, 0xf8, 0);
        native_add_form(cache, op_stc, set_carry, 0xf9, 0);
        native_add_form(cache, op_cmc, set_carry, 0xf5, 0);
}
