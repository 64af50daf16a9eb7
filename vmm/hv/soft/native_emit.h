/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An assembler for the instructions that translated code is made of (SDM volume 2 chapter 2). */

#include <stdbool.h>
#include <stdint.h>

enum {
        H_RAX,
        H_RCX,
        H_RDX,
        H_RBX,
        H_RSP,
        H_RBP,
        H_RSI,
        H_RDI,
        H_R8,
        H_R9,
        H_R10,
        H_R11,
        H_R12,
        H_R13,
        H_R14,
        H_R15,
        H_NONE
};

/* Condition codes as in Jcc. */
enum { CC_C = 2, CC_Z = 4, CC_NZ = 5, CC_S = 8 };

typedef struct Emitter {
        uint8_t *at, *end;
        bool full; /* what did not fit was left out */
} Emitter;

/* An opcode: its last byte, the map it is in and the prefixes it needs. */
#define OP_0F 0x100u
#define OP_0F38 0x200u
#define OP_0F3A 0x300u
#define OP_MAP(op) ((op) >> 8 & 3u)
#define OP_66 0x400u
#define OP_F3 0x800u
#define OP_F2 0xc00u
#define OP_PREFIX(op) ((op) >> 10 & 3u)
#define OP_W 0x1000u
#define OP_BYTE 0x2000u /* a byte register may be named */
#define OP_LOCK 0x4000u

/* What ModRM names besides a register: another register, or memory. */
typedef struct Operand {
        bool memory;
        uint8_t base, index,
                scale; /* of memory; H_NONE = none. @base alone is a register operand */
        int32_t disp;
} Operand;

static inline Operand operand_reg(unsigned reg) {
        return (Operand){.base = (uint8_t) reg};
}

static inline Operand operand_mem(unsigned base, int32_t disp) {
        return (Operand){.memory = true, .base = (uint8_t) base, .index = H_NONE, .disp = disp};
}

/* The form of an opcode for operands of @size (0 byte .. 3 qword), given the one for bytes. */
static inline uint32_t op_sized(uint32_t op, unsigned size) {
        return size == 0 ? op | OP_BYTE : (op | 1) | (size == 1 ? OP_66 : size == 3 ? OP_W : 0);
}

/* The same where there is no form for bytes. */
static inline uint32_t op_wide(uint32_t op, unsigned size) {
        return op | (size == 1 ? OP_66 : size == 3 ? OP_W : 0);
}

void emit_byte(Emitter *e, uint8_t b);
void emit_number(Emitter *e, uint64_t v, unsigned bytes);
void emit_op(Emitter *e, uint32_t op, unsigned reg, Operand rm);
void emit_op_imm(Emitter *e, uint32_t op, unsigned reg, Operand rm, uint64_t imm, unsigned bytes);
void emit_mov(Emitter *e, unsigned to, unsigned from);
void emit_mov_imm(Emitter *e, unsigned to, uint64_t v);
uint8_t *emit_jcc(Emitter *e, unsigned cc);
uint8_t *emit_jcc_short(Emitter *e, unsigned cc);
uint8_t *emit_jmp(Emitter *e);
void emit_target(Emitter *e, uint8_t *jump);
void emit_target_at(Emitter *e, uint8_t *jump, const uint8_t *target);
void emit_target_short(Emitter *e, uint8_t *jump);
void emit_jcc_to(Emitter *e, unsigned cc, const uint8_t *target);
void emit_jmp_to(Emitter *e, const uint8_t *target);
