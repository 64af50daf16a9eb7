/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hv/soft/native_emit.h"

#include <assert.h>

#include "base/le.h"

/** emit_byte() - one byte */
void emit_byte(Emitter *e, uint8_t b) {
        if (e->at >= e->end)
                e->full = true;
        else
                *e->at++ = b;
}

/** emit_number() - the @bytes low bytes of @v, lowest first */
void emit_number(Emitter *e, uint64_t v, unsigned bytes) {
        for (unsigned i = 0; i < bytes; i++)
                emit_byte(e, (uint8_t) (v >> 8 * i));
}

static bool is_disp8(int32_t disp) {
        return disp == (int8_t) disp;
}

/* ModRM, SIB and displacement. As a base, rsp and r12 need a SIB, rbp and r13 a displacement. */
static void emit_modrm(Emitter *e, unsigned reg, Operand rm) {
        uint8_t r = (uint8_t) ((reg & 7) << 3);
        bool sib = rm.index != H_NONE || (rm.base & 7) == H_RSP;
        unsigned mod;

        if (!rm.memory) {
                emit_byte(e, (uint8_t) (0xc0 | r | (rm.base & 7)));
                return;
        }
        if (rm.base == H_NONE) {
                emit_byte(e, r | 4);
                emit_byte(e, (uint8_t) (rm.scale << 6 |
                                        (rm.index == H_NONE ? 4 : rm.index & 7) << 3 | 5));
                emit_number(e, (uint32_t) rm.disp, 4);
                return;
        }
        mod = rm.disp == 0 && (rm.base & 7) != H_RBP ? 0 : is_disp8(rm.disp) ? 1 : 2;
        emit_byte(e, (uint8_t) (mod << 6 | r | (sib ? 4 : rm.base & 7)));
        if (sib)
                emit_byte(e,
                          (uint8_t) (rm.scale << 6 | (rm.index == H_NONE ? 4 : rm.index & 7) << 3 |
                                     (rm.base & 7)));
        if (mod)
                emit_number(e, (uint32_t) rm.disp, mod == 1 ? 1 : 4);
}

/** emit_op() - an instruction with a ModRM byte; @reg: a register, or the digit that extends the opcode */
void emit_op(Emitter *e, uint32_t op, unsigned reg, Operand rm) {
        static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
        static const uint8_t maps[4] = {0, 0, 0x38, 0x3a};
        unsigned rex = (op & OP_W ? 8u : 0) | (reg & 8 ? 4u : 0);

        if (rm.memory) {
                rex |= rm.index != H_NONE && (rm.index & 8) ? 2u : 0;
                rex |= rm.base != H_NONE && (rm.base & 8) ? 1u : 0;
        } else {
                rex |= rm.base & 8 ? 1u : 0;
        }
        if (op & OP_LOCK)
                emit_byte(e, 0xf0);
        if (OP_PREFIX(op))
                emit_byte(e, prefixes[OP_PREFIX(op)]);
        if (rex || (op & OP_BYTE))
                emit_byte(e, (uint8_t) (0x40 | rex));
        if (OP_MAP(op))
                emit_byte(e, 0x0f);
        if (OP_MAP(op) > 1)
                emit_byte(e, maps[OP_MAP(op)]);
        emit_byte(e, (uint8_t) op);
        emit_modrm(e, reg, rm);
}

/** emit_op_imm() - the same with an immediate of @bytes bytes behind it */
void emit_op_imm(Emitter *e, uint32_t op, unsigned reg, Operand rm, uint64_t imm, unsigned bytes) {
        emit_op(e, op, reg, rm);
        emit_number(e, imm, bytes);
}

/** emit_mov() - a register of 64 bits to another */
void emit_mov(Emitter *e, unsigned to, unsigned from) {
        if (to != from)
                emit_op(e, 0x8b | OP_W, to, operand_reg(from));
}

/** emit_mov_imm() - a number into a register, in its shortest form; flags stay */
void emit_mov_imm(Emitter *e, unsigned to, uint64_t v) {
        if (v != (uint32_t) v && v == (uint64_t) (int64_t) (int32_t) v) {
                emit_op_imm(e, 0xc7 | OP_W, 0, operand_reg(to), v, 4);
                return;
        }
        if (v != (uint32_t) v || to & 8)
                emit_byte(e, (uint8_t) (0x40 | (v != (uint32_t) v ? 8 : 0) | (to & 8 ? 1 : 0)));
        emit_byte(e, (uint8_t) (0xb8 | (to & 7)));
        emit_number(e, v, v != (uint32_t) v ? 8 : 4);
}

/** emit_jcc() - a conditional jump whose target emit_target() fills in. Return: where. */
uint8_t *emit_jcc(Emitter *e, unsigned cc) {
        emit_byte(e, 0x0f);
        emit_byte(e, (uint8_t) (0x80 | cc));
        emit_number(e, 0, 4);
        return e->at - 4;
}

/** emit_jcc_short() - the same in two bytes, for emit_target_short() within 127 bytes of code */
uint8_t *emit_jcc_short(Emitter *e, unsigned cc) {
        emit_byte(e, (uint8_t) (0x70 | cc));
        emit_byte(e, 0);
        return e->at - 1;
}

/** emit_jmp() - the same without a condition */
uint8_t *emit_jmp(Emitter *e) {
        emit_byte(e, 0xe9);
        emit_number(e, 0, 4);
        return e->at - 4;
}

/** emit_target() - the next instruction is where @jump goes */
void emit_target(Emitter *e, uint8_t *jump) {
        emit_target_at(e, jump, e->at);
}

/** emit_target_at() - code that was emitted before is where @jump goes */
void emit_target_at(Emitter *e, uint8_t *jump, const uint8_t *target) {
        if (!e->full)
                le32_store(jump, (uint32_t) (target - (jump + 4)));
}

/** emit_target_short() - the same for a jump by emit_jcc_short() */
void emit_target_short(Emitter *e, uint8_t *jump) {
        assert(e->full || e->at - (jump + 1) <= INT8_MAX);
        if (!e->full)
                *jump = (uint8_t) (e->at - (jump + 1));
}

/** emit_jcc_to() - a conditional jump back to code that was emitted before */
void emit_jcc_to(Emitter *e, unsigned cc, const uint8_t *target) {
        emit_byte(e, 0x0f);
        emit_byte(e, (uint8_t) (0x80 | cc));
        emit_number(e, (uint64_t) (target - (e->at + 4)), 4);
}

/** emit_jmp_to() - the same without a condition */
void emit_jmp_to(Emitter *e, const uint8_t *target) {
        emit_byte(e, 0xe9);
        emit_number(e, (uint64_t) (target - (e->at + 4)), 4);
}
