/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of a block with memory, in translated code: what differs is left to op_check_source(). */
#include <string.h>

#include "vmm/hv/soft/native_internal.h"
#include "vmm/hv/soft/source.h"

/* Whatever differs of @bytes (1, 2, 4 or 8) at @at stays in rdx; rax has the address of the first byte. */
static void compare(Translator *t, const uint8_t *source, unsigned at, unsigned bytes) {
        const Operand memory = operand_mem(H_RAX, (int32_t) at);
        const uint32_t op =
                bytes == 1 ? 0x32 | OP_BYTE : op_wide(0x33, (unsigned) __builtin_ctz(bytes));
        uint64_t value = 0;

        memcpy(&value, source + at, bytes);
        emit_mov_imm(&t->e, H_RCX, value);
        emit_op(&t->e, op, H_RCX, memory);                      /* xor */
        emit_op(&t->e, 0x0b | OP_W, H_RDX, operand_reg(H_RCX)); /* or */
}

static bool check_source(Translator *t, const NativeForm *form) {
        const uint8_t *source = source_bytes(t->u);
        const unsigned end = (unsigned) t->u->disp;
        unsigned at = 0;

        (void) form;
        emit_mov_imm(&t->e, H_RAX, t->u->imm);
        emit_mov_imm(&t->e, H_RDX, 0);
        for (unsigned bytes = 8; bytes > 0; bytes /= 2)
                for (; at + bytes <= end; at += bytes)
                        compare(t, source, at, bytes);
        emit_op(&t->e, 0x85 | OP_W, H_RDX, operand_reg(H_RDX)); /* test */
        native_exit_if(t, CC_NZ);
        return true;
}

/** native_add_source() - make the comparison known to the translator */
void native_add_source(struct NativeCache *cache) {
        native_add_form(cache, op_check_source, check_source, 0, 3);
}
