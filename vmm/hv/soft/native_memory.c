/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory in translated code: the probe of access.h; what misses is the interpreter's. */
#include "vmm/hv/soft/native_internal.h"

/** native_can_address() - whether the operand's address is of 64 bits, as nearly all are */
bool native_can_address(const Uop *u) {
        return UOP_ADDRESS_SIZE(u) == 3;
}

/** native_offset() - base, index and displacement of the operand, to be used in one instruction */
Operand native_offset(Translator *t) {
        const Uop *u = t->u;
        Operand o = {.memory = true,
                     .base = H_NONE,
                     .index = H_NONE,
                     .scale = u->scale,
                     .disp = u->disp};

        if (u->base == REG_BLOCK)
                o.base = H_R15;
        else if (u->base != REG_ZERO)
                o.base = (uint8_t) native_use(t, u->base);
        if (u->index != REG_ZERO)
                o.index = (uint8_t) native_use(t, u->index);
        return o;
}

/** native_address() - the linear address of the operand into rcx; flags stay unless there is a segment base */
void native_address(Translator *t) {
        Operand o = native_offset(t);

        if (o.index == H_NONE && o.disp == 0 && o.base != H_NONE)
                emit_mov(&t->e, H_RCX, o.base);
        else
                emit_op(&t->e, 0x8d | OP_W, H_RCX, o);
        if (t->u->ea & EA_SEGMENT) {
                native_save_flags(t);
                t->flags_host = false;
                emit_op(&t->e, 0x03 | OP_W, H_RCX,
                        operand_mem(H_RDI, (int32_t) (offsetof(SoftCpu, seg_base_effective) +
                                                      t->u->seg * sizeof(uint64_t))));
        }
}

/** native_address_of() - register @guest plus @disp into rcx, as the stack's instructions have it */
void native_address_of(Translator *t, unsigned guest, int32_t disp) {
        emit_op(&t->e, 0x8d | OP_W, H_RCX, operand_mem(native_use(t, guest), disp));
}

/* From the linear address in rcx to the host's; see tlb_hit(). */
static Operand probe(Translator *t, unsigned bytes, size_t table) {
        Emitter *e = &t->e;

        native_save_flags(t);
        t->flags_host = false;
        if (bytes > 1)
                emit_op(e, 0x8d | OP_W, H_RAX, operand_mem(H_RCX, (int32_t) bytes - 1));
        else
                emit_mov(e, H_RAX, H_RCX);
        emit_op(e, 0x8b, H_RDX, operand_reg(H_RCX));
        emit_op_imm(e, 0xc1, 5, operand_reg(H_RDX), 8, 1); /* shr: index times entry size */
        emit_op_imm(e, 0x81, 4, operand_reg(H_RDX), (TLB_ENTRIES - 1) * sizeof(TlbEntry), 4);
        emit_op_imm(e, 0x81 | OP_W, 4, operand_reg(H_RAX), PAGE_MASK, 4);
        emit_op(e, 0x03 | OP_W, H_RDX, CPU_FIELD(tlb));
        emit_op(e, 0x3b | OP_W, H_RAX,
                operand_mem(H_RDX, (int32_t) (table + offsetof(TlbEntry, tag))));
        native_exit_if(t, CC_NZ);
        emit_op(e, 0x03 | OP_W, H_RCX,
                operand_mem(H_RDX, (int32_t) (table + offsetof(TlbEntry, addend))));
        return operand_mem(H_RCX, 0);
}
_Static_assert(sizeof(TlbEntry) == 16, "the probe shifts by 12 - 4");

/**
 * native_read() - the operand at the linear address in rcx, for reading @bytes of it
 *
 * The guest's flags are in memory afterwards, and rax and rdx are free. Return: what rcx points to.
 */
Operand native_read(Translator *t, unsigned bytes) {
        return probe(t, bytes, offsetof(Tlb, read));
}

/** native_write() - the same for writing, or for reading and writing */
Operand native_write(Translator *t, unsigned bytes) {
        return probe(t, bytes, offsetof(Tlb, write));
}
