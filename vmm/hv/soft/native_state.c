/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest registers and flags in translated code. A guest register is loaded when it is first used and stored where the
 * code leaves the block; the flags stay in the host's own until something else needs those.
 */
#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/native_internal.h"

/* Those that the code of one instruction may use as it likes are not among them. */
static const uint8_t pool[] = {H_RBX, H_RSI, H_RBP, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14};

static Operand guest_home(unsigned guest) {
        return operand_mem(H_RDI, (int32_t) (offsetof(SoftCpu, r) + guest * 8));
}

static Operand xmm_home(unsigned n) {
        return operand_mem(H_RDI, (int32_t) (offsetof(SoftCpu, xmm) + n * sizeof(Xmm)));
}

/** native_begin_uop() - nothing is pinned any more */
void native_begin_uop(Translator *t) {
        t->pinned = 0;
}

/* A host register for @guest: a free one, or that of the register that was not used for longest. */
static unsigned allocate(Translator *t, unsigned guest) {
        unsigned victim = GUEST_REGS, host = H_NONE;
        uint16_t taken = t->pinned;

        for (unsigned g = 0; g < GUEST_REGS; g++)
                if (t->registers.host[g] != H_NONE)
                        taken |= (uint16_t) (1u << t->registers.host[g]);
        for (unsigned i = 0; i < ELEMENTSOF(pool) && host == H_NONE; i++)
                if (!(taken >> pool[i] & 1))
                        host = pool[i];
        if (host == H_NONE) {
                for (unsigned g = 0; g < GUEST_REGS; g++) {
                        unsigned h = t->registers.host[g];

                        if (h != H_NONE && !(t->pinned >> h & 1) &&
                            (victim == GUEST_REGS || t->age[h] < t->age[t->registers.host[victim]]))
                                victim = g;
                }
                host = t->registers.host[victim];
                if (t->registers.dirty >> victim & 1)
                        emit_op(&t->e, 0x89 | OP_W, host, guest_home(victim));
                t->registers.host[victim] = H_NONE;
                t->registers.dirty &= (uint16_t) ~(1u << victim);
                t->evicted = true;
        }
        t->registers.host[guest] = (uint8_t) host;
        return host;
}

static unsigned hold(Translator *t, unsigned guest, bool load) {
        unsigned host = t->registers.host[guest];

        if (host == H_NONE) {
                host = allocate(t, guest);
                if (load)
                        emit_op(&t->e, 0x8b | OP_W, host, guest_home(guest));
        }
        t->pinned |= (uint16_t) (1u << host);
        t->age[host] = ++t->now;
        return host;
}

/** native_use() - the host register that holds @guest, which the instruction reads */
unsigned native_use(Translator *t, unsigned guest) {
        return hold(t, guest, true);
}

/** native_define() - the same for one that it writes all of; after the last jump out of the instruction */
unsigned native_define(Translator *t, unsigned guest) {
        unsigned host = hold(t, guest, false);

        t->registers.dirty |= (uint16_t) (1u << guest);
        return host;
}

/** native_modify() - the same for one that it reads and writes, or writes a part of */
unsigned native_modify(Translator *t, unsigned guest) {
        unsigned host = hold(t, guest, true);

        t->registers.dirty |= (uint16_t) (1u << guest);
        return host;
}

/** native_use_xmm() - have guest register @n in the host's */
void native_use_xmm(Translator *t, unsigned n) {
        if (!(t->registers.xmm_loaded >> n & 1))
                emit_op(&t->e, 0x28 | OP_0F, n, xmm_home(n)); /* movaps */
        t->registers.xmm_loaded |= (uint16_t) (1u << n);
}

/** native_define_xmm() - it is written as a whole; after the last jump out of the instruction */
void native_define_xmm(Translator *t, unsigned n) {
        t->registers.xmm_loaded |= (uint16_t) (1u << n);
        t->registers.xmm_dirty |= (uint16_t) (1u << n);
}

/** native_modify_xmm() - it is read and written */
void native_modify_xmm(Translator *t, unsigned n) {
        native_use_xmm(t, n);
        native_define_xmm(t, n);
}

/** native_store_registers() - what memory does not have yet; flags and registers stay */
void native_store_registers(Translator *t, const RegisterState *registers) {
        for (unsigned g = 0; g < GUEST_REGS; g++)
                if (registers->dirty >> g & 1)
                        emit_op(&t->e, 0x89 | OP_W, registers->host[g], guest_home(g));
        for (unsigned n = 0; n < 16; n++)
                if (registers->xmm_dirty >> n & 1)
                        emit_op(&t->e, 0x29 | OP_0F, n, xmm_home(n));
}

/* ---- flags ---- */

/** native_need_flags() - have the guest's flags in the host's. Uses rax. */
void native_need_flags(Translator *t) {
        if (t->flags_host)
                return;
        emit_op(&t->e, 0x8b, H_RAX, CPU_FIELD(af));
        emit_number(&t->e, 0x9e7f04, 3); /* add $0x7f, %al; sahf */
        t->flags_host = true;
}

/** native_need_carry() - have CF at least */
void native_need_carry(Translator *t) {
        if (!t->flags_host)
                emit_op_imm(&t->e, 0xba | OP_0F, 4, CPU_FIELD(af), 8, 1); /* bt */
}

/** native_set_flags() - the instruction that was emitted set the host's flags as the guest's */
void native_set_flags(Translator *t) {
        t->flags_host = true;
        t->flags_memory = false;
}

/** native_save_flags() - have the guest's flags in memory; the host's stay, rax does not */
void native_save_flags(Translator *t) {
        if (t->flags_memory)
                return;
        emit_number(&t->e, 0xc0900f9f, 4); /* lahf; seto %al */
        emit_op(&t->e, 0x89, H_RAX, CPU_FIELD(af));
        t->flags_memory = true;
}

/* ---- leaving ---- */

/** native_exit_if() - where @cc holds, the interpreter takes over before this instruction; its flags are in memory */
void native_exit_if(Translator *t, unsigned cc) {
        uint8_t *jump = emit_jcc(&t->e, cc);

        if (t->n_exits == EXITS_MAX) {
                t->e.full = true;
                return;
        }
        t->exits[t->n_exits++] = (Exit){.jump = jump, .uop = t->n, .registers = t->registers};
}

/* Whether both leave before the same instruction with the same registers to store. */
static bool same_exit(const Exit *a, const Exit *b) {
        const RegisterState *ra = &a->registers, *rb = &b->registers;

        if (a->uop != b->uop || ra->dirty != rb->dirty || ra->xmm_dirty != rb->xmm_dirty)
                return false;
        for (unsigned g = 0; g < GUEST_REGS; g++)
                if ((ra->dirty >> g & 1) && ra->host[g] != rb->host[g])
                        return false;
        return true;
}

static void emit_exit(Translator *t, const Exit *exit) {
        const Uop *u = &t->block->uops[exit->uop];
        bool by_handler = exit->uop == t->first; /* its Uop will lead here again */

        native_store_registers(t, &exit->registers);
        emit_mov_imm(&t->e, H_RSI, native_uop_offset(t->cache, u));
        if (by_handler)
                emit_mov_imm(&t->e, H_RAX, (uintptr_t) u->fn);
        emit_jmp_to(&t->e,
                    native_common(t->cache, by_handler ? COMMON_INTERPRET_BY : COMMON_INTERPRET));
}

/** native_emit_exits() - the ways out, behind the code they belong to */
void native_emit_exits(Translator *t) {
        const uint8_t *last = NULL;

        for (unsigned i = 0; i < t->n_exits; i++) {
                const Exit *exit = &t->exits[i];

                if (i == 0 || !same_exit(exit, exit - 1)) {
                        last = t->e.at;
                        emit_exit(t, exit);
                }
                emit_target_at(&t->e, exit->jump, last);
        }
}

/** native_high_byte() - whether an operand is AH, CH, DH or BH, which is left to the interpreter */
bool native_high_byte(unsigned size, unsigned reg) {
        return size == 0 && (reg & 1);
}

/** native_reg_number() - the register of an operand as Uops have it */
unsigned native_reg_number(unsigned size, unsigned reg) {
        return size == 0 ? reg >> 3 : reg;
}
