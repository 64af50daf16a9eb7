/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSE in translated code: the guest's instruction itself, with the host's registers of the same numbers. Guest code with
 * unmasked exceptions is left to the interpreter.
 */
#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native_internal.h"

#define MXCSR_MASKS 0x1f80u

#define MOVUPS_LOAD (0x10 | OP_0F)
#define MOVUPS_STORE (0x11 | OP_0F)
#define MOVAPS (0x28 | OP_0F)
#define MOVQ (0x7e | OP_0F | OP_F3)

/** native_check_sse() - leave to the interpreter unless SSE is enabled and all its exceptions are masked */
void native_check_sse(Translator *t) {
        Emitter *e = &t->e;

        if (t->sse_checked)
                return;
        native_save_flags(t);
        t->flags_host = false;
        emit_op(e, 0x8b, H_RAX, CPU_FIELD(mxcsr));
        emit_op_imm(e, 0x81, 4, operand_reg(H_RAX), MXCSR_MASKS, 4);
        emit_op_imm(e, 0x81, 7, operand_reg(H_RAX), MXCSR_MASKS, 4);
        native_exit_if(t, CC_NZ);
        emit_op(e, 0x8b, H_RAX, CPU_FIELD(cr0));
        emit_op_imm(e, 0xf7, 0, operand_reg(H_RAX), CR0_EM | CR0_TS, 4);
        native_exit_if(t, CC_NZ);
        emit_op(e, 0x8b, H_RAX, CPU_FIELD(cr4));
        emit_op_imm(e, 0xf7, 0, operand_reg(H_RAX), CR4_OSFXSR, 4);
        native_exit_if(t, CC_Z);
        t->sse_checked = true;
}

/* The instruction of a thunk with its operands put back. */
typedef struct VectorOp {
        uint32_t op;
        uint8_t modrm, imm;
        bool has_imm;
} VectorOp;

static VectorOp vector_op(const Uop *u, ThunkKind kind) {
        const uint8_t *b = thunk_instruction((Thunk) (uintptr_t) u->imm, kind);
        VectorOp v = {0};

        v.op = *b == 0x66 ? OP_66 : *b == 0xf3 ? OP_F3 : *b == 0xf2 ? OP_F2 : 0;
        b += v.op ? 1 : 0;
        if (*b == 0x48) {
                v.op |= OP_W;
                b++;
        }
        b++; /* 0f */
        if (*b == 0x38 || *b == 0x3a) {
                v.op |= *b == 0x38 ? OP_0F38 : OP_0F3A;
                v.has_imm = *b == 0x3a;
                b++;
        } else {
                v.op |= OP_0F;
                v.has_imm = (*b >= 0x70 && *b <= 0x73) || *b == 0xc2 || (*b >= 0xc4 && *b <= 0xc6);
        }
        v.op |= *b;
        v.modrm = b[1];
        v.imm = b[2];
        return v;
}

static void emit_vector(Translator *t, VectorOp v, unsigned reg, Operand rm) {
        emit_op(&t->e, v.op, reg, rm);
        if (v.has_imm)
                emit_byte(&t->e, v.imm);
}

static unsigned operand_bytes(const Uop *u) {
        return 1u << u->size;
}

/* An operand of 16 bytes must be aligned, which the probe left visible in the low bits. */
static void check_aligned(Translator *t) {
        emit_op_imm(&t->e, 0xf6, 0, operand_reg(H_RCX), 15, 1); /* test %cl */
        native_exit_if(t, CC_NZ);
}

static bool sse_reg_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        (void) form;
        native_check_sse(t);
        native_use_xmm(t, u->rm);
        native_modify_xmm(t, u->reg);
        emit_vector(t, vector_op(u, THUNK_XMM), u->reg, operand_reg(u->rm));
        return true;
}

static bool sse_reg_mem(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand memory;

        (void) form;
        if (!native_can_address(u) || u->size > 4 || (u->size == 4 && (u->op & 1)))
                return false;
        native_check_sse(t);
        native_address(t);
        native_use_xmm(t, u->reg);
        memory = native_read(t, operand_bytes(u));
        if (u->size == 4)
                check_aligned(t);
        native_define_xmm(t, u->reg);
        emit_vector(t, vector_op(u, THUNK_XMM), u->reg, memory);
        return true;
}

/* COMISS and the like */
static bool sse_flags_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        (void) form;
        native_check_sse(t);
        native_use_xmm(t, u->rm);
        native_use_xmm(t, u->reg);
        emit_vector(t, vector_op(u, THUNK_XMM_FLAGS), u->reg, operand_reg(u->rm));
        native_set_flags(t);
        return true;
}

static bool sse_flags_mem(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        Operand memory;

        (void) form;
        if (!native_can_address(u) || u->size > 3)
                return false;
        native_check_sse(t);
        native_address(t);
        native_use_xmm(t, u->reg);
        memory = native_read(t, operand_bytes(u));
        emit_vector(t, vector_op(u, THUNK_XMM_FLAGS), u->reg, memory);
        native_set_flags(t);
        return true;
}

static bool sse_shift(Translator *t, const NativeForm *form) {
        VectorOp v = vector_op(t->u, THUNK_XMM);

        (void) form;
        native_check_sse(t);
        native_modify_xmm(t, t->u->rm);
        emit_vector(t, v, v.modrm >> 3 & 7u, operand_reg(t->u->rm));
        return true;
}

/* ---- between vector and general registers ---- */

static bool sse_to_gpr(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        (void) form;
        native_check_sse(t);
        native_use_xmm(t, u->rm);
        emit_vector(t, vector_op(u, THUNK_PLAIN), native_define(t, u->reg), operand_reg(u->rm));
        return true;
}

static bool sse_mask(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        (void) form;
        native_check_sse(t);
        native_use_xmm(t, u->rm);
        emit_vector(t, vector_op(u, THUNK_XMM_SOURCE), native_define(t, u->reg),
                    operand_reg(u->rm));
        return true;
}

static bool sse_from_gpr(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned from;

        (void) form;
        native_check_sse(t);
        from = native_use(t, u->rm);
        native_modify_xmm(t, u->reg);
        emit_vector(t, vector_op(u, THUNK_XMM), u->reg, operand_reg(from));
        return true;
}

static bool movd_from_gpr(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;
        unsigned from;

        (void) form;
        native_check_sse(t);
        from = native_use(t, u->rm);
        native_define_xmm(t, u->reg);
        emit_op(&t->e, 0x6e | OP_0F | OP_66 | (u->size == 3 ? OP_W : 0), u->reg, operand_reg(from));
        return true;
}

static bool movd_to_gpr(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        (void) form;
        native_check_sse(t);
        native_use_xmm(t, u->reg);
        emit_op(&t->e, 0x7e | OP_0F | OP_66 | (u->size == 3 ? OP_W : 0), u->reg,
                operand_reg(native_define(t, u->rm)));
        return true;
}

/* ---- moves; the form's opcode is what moves ---- */

static bool move_reg_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        native_check_sse(t);
        native_use_xmm(t, u->rm);
        native_define_xmm(t, u->reg);
        emit_op(&t->e, form->op, u->reg, operand_reg(u->rm));
        return true;
}

/* A part of the destination stays. */
static bool merge_reg_reg(Translator *t, const NativeForm *form) {
        const Uop *u = t->u;

        native_check_sse(t);
        native_use_xmm(t, u->rm);
        native_modify_xmm(t, u->reg);
        emit_op(&t->e, form->op, u->reg, operand_reg(u->rm));
        return true;
}

/* MOVSS, MOVSD */
static bool low_reg_reg(Translator *t, const NativeForm *form) {
        const NativeForm sized = {.op = 0x10 | OP_0F | (t->u->size == 2 ? OP_F3 : OP_F2)};

        (void) form;
        return merge_reg_reg(t, &sized);
}

static bool load(Translator *t, unsigned bytes, bool aligned, bool part, uint32_t op) {
        const Uop *u = t->u;
        Operand memory;

        if (!native_can_address(u))
                return false;
        native_check_sse(t);
        native_address(t);
        if (part)
                native_use_xmm(t, u->reg);
        memory = native_read(t, bytes);
        if (aligned)
                check_aligned(t);
        native_define_xmm(t, u->reg);
        emit_op(&t->e, op, u->reg, memory);
        return true;
}

static bool store(Translator *t, unsigned bytes, bool aligned, uint32_t op) {
        const Uop *u = t->u;
        Operand memory;

        if (!native_can_address(u))
                return false;
        native_check_sse(t);
        native_address(t);
        native_use_xmm(t, u->reg);
        memory = native_write(t, bytes);
        if (aligned)
                check_aligned(t);
        emit_op(&t->e, op, u->reg, memory);
        return true;
}

static bool whole_load(Translator *t, const NativeForm *form) {
        return load(t, 16, form->op, false, MOVUPS_LOAD);
}

static bool whole_store(Translator *t, const NativeForm *form) {
        return store(t, 16, form->op, MOVUPS_STORE);
}

static bool low_load(Translator *t, const NativeForm *form) {
        (void) form;
        return t->u->size == 2 ? load(t, 4, false, false, 0x10 | OP_0F | OP_F3)
                               : load(t, 8, false, false, 0x10 | OP_0F | OP_F2);
}

static bool low_store(Translator *t, const NativeForm *form) {
        (void) form;
        return t->u->size == 2 ? store(t, 4, false, 0x11 | OP_0F | OP_F3)
                               : store(t, 8, false, 0x11 | OP_0F | OP_F2);
}

/* MOVLPS, MOVHPS */
static bool half_load(Translator *t, const NativeForm *form) {
        (void) form;
        return load(t, 8, false, true, (t->u->op ? 0x16 : 0x12) | OP_0F);
}

static bool half_store(Translator *t, const NativeForm *form) {
        (void) form;
        return store(t, 8, false, (t->u->op ? 0x17 : 0x13) | OP_0F);
}

/** native_add_vector() - make SSE known to the translator */
void native_add_vector(struct NativeCache *cache) {
        static const NativeForm forms[] = {
                {op_sse_rr, sse_reg_reg, 0, 0},
                {op_sse_rm, sse_reg_mem, 0, 0},
                {op_sse_insert_m, sse_reg_mem, 0, 0},
                {op_sse_from_gpr_m, sse_reg_mem, 0, 0},
                {op_sse_flags_rr, sse_flags_reg, 0, 0},
                {op_sse_flags_rm, sse_flags_mem, 0, 0},
                {op_sse_shift, sse_shift, 0, 0},
                {op_sse_to_gpr_r, sse_to_gpr, 0, 0},
                {op_sse_mask_r, sse_mask, 0, 0},
                {op_sse_from_gpr_r, sse_from_gpr, 0, 0},
                {op_sse_insert_r, sse_from_gpr, 0, 0},
                {op_movd_from_gpr, movd_from_gpr, 0, 0},
                {op_movd_to_gpr, movd_to_gpr, 0, 0},
                {op_movx_rr, move_reg_reg, MOVAPS, 0},
                {op_movq_rr, move_reg_reg, MOVQ, 0},
                {op_movhlps, merge_reg_reg, 0x12 | OP_0F, 0},
                {op_movlhps, merge_reg_reg, 0x16 | OP_0F, 0},
                {op_mov_low_rr, low_reg_reg, 0, 0},
                {op_movx_load, whole_load, false, 0},
                {op_movx_load_aligned, whole_load, true, 0},
                {op_movx_store, whole_store, false, 0},
                {op_movx_store_aligned, whole_store, true, 0},
                {op_mov_low_load, low_load, 0, 0},
                {op_movd_load, low_load, 0, 0},
                {op_mov_low_store, low_store, 0, 0},
                {op_movd_store, low_store, 0, 0},
                {op_mov_half_load, half_load, 0, 0},
                {op_mov_half_store, half_store, 0, 0},
        };

        for (unsigned i = 0; i < ELEMENTSOF(forms); i++)
                native_add_form(cache, forms[i].handler, forms[i].translate, forms[i].op, 0);
}
