/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The translation of one block while it is made, and what its files share.
 *
 * Registers of translated code: rdi is the SoftCpu, r15 the guest's address of the block, rax, rcx and rdx are free for
 * each instruction, and the others hold guest registers that were used in the block. xmm registers hold the guest's of
 * the same number.
 */

#include <stddef.h>

#include "vmm/hv/soft/cpu.h"
#include "vmm/hv/soft/native_emit.h"

#define GUEST_REGS 16u
#define EXITS_MAX 160u

#define CPU_FIELD(field) operand_mem(H_RDI, (int32_t) offsetof(SoftCpu, field))

/* Which registers hold what, as code that leaves the translation must know. */
typedef struct RegisterState {
        uint8_t host[GUEST_REGS]; /* of a guest register, or H_NONE */
        uint16_t dirty;           /* guest registers that memory does not have yet */
        uint16_t xmm_loaded, xmm_dirty;
} RegisterState;

/* A jump out of the translation: the interpreter goes on with instruction @uop. */
typedef struct Exit {
        uint8_t *jump;
        unsigned uop;
        RegisterState registers;
} Exit;

typedef struct Translator {
        Emitter e;
        struct NativeCache *cache;
        Block *block;
        Uop *u;         /* being translated */
        unsigned n;     /* its number */
        unsigned first; /* of the run, whose handler becomes the translation */
        RegisterState registers;
        uint16_t pinned;   /* host registers that this instruction uses */
        uint32_t age[16];  /* when a host register was last used */
        uint32_t now;      /* counts uses */
        bool evicted;      /* guest registers did not all fit */
        bool flags_host;   /* the host's flags are the guest's */
        bool flags_memory; /* SoftCpu.af is */
        bool sse_checked;  /* SSE is enabled and its exceptions are masked */
        /* A block that jumps to itself keeps its registers on the way: they are loaded before @head. */
        bool loop;
        uint8_t *head;
        Exit exits[EXITS_MAX];
        unsigned n_exits;
        bool ended; /* the block's last branch was translated */
} Translator;

typedef struct NativeForm NativeForm;

/* Translates an instruction, or declines before it emitted anything. */
typedef bool NativeFn(Translator *t, const NativeForm *form);

/* What a handler of the interpreter does, for the translator. */
struct NativeForm {
        UopFn handler;
        NativeFn *translate;
        uint32_t op; /* opcode, or what else @translate must know */
        unsigned size;
};

/* native.c: common code in the cache */
typedef enum CommonCode {
        COMMON_INTERPRET, /* esi: the Uop, from where all lie; it is interpreted or begins another run */
        COMMON_INTERPRET_BY, /* the same, and rax: its handler */
        COMMON_LEAVE,        /* at the instruction in r15 */
        COMMON_LEAVE_LINK,   /* the same, and rax is the NativeLink that was not good */
        COMMON_CODES,
} CommonCode;
const uint8_t *native_common(const struct NativeCache *cache, CommonCode code);
uint32_t native_uop_offset(const struct NativeCache *cache, const Uop *u);
const uint8_t *native_executable(const struct NativeCache *cache, const uint8_t *at);
NativeLink *native_add_link(struct NativeCache *cache, uint64_t page);
void native_add_form(struct NativeCache *cache, UopFn handler, NativeFn *translate, uint32_t op,
                     unsigned size);
void native_add_sizes(struct NativeCache *cache, const UopFn handlers[4], unsigned first,
                      NativeFn *translate, uint32_t op);

/* native_state.c: registers and flags */
void native_begin_uop(Translator *t);
unsigned native_use(Translator *t, unsigned guest);
unsigned native_define(Translator *t, unsigned guest);
unsigned native_modify(Translator *t, unsigned guest);
void native_use_xmm(Translator *t, unsigned n);
void native_define_xmm(Translator *t, unsigned n);
void native_modify_xmm(Translator *t, unsigned n);
void native_store_registers(Translator *t, const RegisterState *registers);
void native_need_flags(Translator *t);
void native_need_carry(Translator *t);
void native_set_flags(Translator *t);
void native_save_flags(Translator *t);
void native_exit_if(Translator *t, unsigned cc);
void native_emit_exits(Translator *t);
bool native_high_byte(unsigned size, unsigned reg);
unsigned native_reg_number(unsigned size, unsigned reg);

/* native_memory.c: guest memory */
bool native_can_address(const Uop *u);
Operand native_offset(Translator *t);
void native_address(Translator *t);
void native_address_of(Translator *t, unsigned guest, int32_t disp);
Operand native_read(Translator *t, unsigned bytes);
Operand native_write(Translator *t, unsigned bytes);

/* The instructions, by kind. */
void native_add_alu(struct NativeCache *cache);    /* native_alu.c */
void native_add_moves(struct NativeCache *cache);  /* native_move.c */
void native_add_branch(struct NativeCache *cache); /* native_branch.c */
void native_add_vector(struct NativeCache *cache); /* native_vector.c */
void native_add_source(struct NativeCache *cache); /* native_source.c */
void native_check_sse(Translator *t);              /* native_vector.c */
void native_end_block(Translator *t); /* native_branch.c: the next instruction is another block's */
