/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The instruction being decoded, and what the opcode maps share. */

#include "vmm/hv/soft/cpu.h"
#include "vmm/hv/soft/handlers.h"

#define INSTRUCTION_MAX 15u

typedef struct Decoder {
        ThunkCache *thunks;
        const uint8_t *code; /* of this instruction */
        unsigned pos, avail;
        bool truncated;
        unsigned mode; /* MODE_16, MODE_32, MODE_64 */
        Uop *u;
        /* prefixes */
        uint8_t rex;
        bool has_rex, opsize, addrsize_prefix, lock;
        uint8_t rep;    /* 0, 0xf2, 0xf3 */
        int seg;        /* override or -1 */
        uint8_t prefix; /* mandatory prefix of SSE: 0 none, 1 66, 2 F3, 3 F2 */
        /* ModRM */
        uint8_t mod, reg, rm;
        unsigned osize, asize; /* 1..3 */
        unsigned access;       /* decode_access(), outside 64-bit mode */
        bool end;
} Decoder;

/* decode.c: bytes and operands */
uint8_t decode_byte(Decoder *d);
uint64_t decode_immediate(Decoder *d, unsigned bytes);
uint64_t decode_immediate_signed(Decoder *d, unsigned bytes);
uint64_t decode_immediate_osize(Decoder *d, unsigned size);
void decode_modrm(Decoder *d);
uint8_t decode_byte_reg(const Decoder *d, unsigned n);
uint8_t decode_sized_reg(const Decoder *d, unsigned n, unsigned size);
unsigned decode_stack_osize(const Decoder *d);
unsigned decode_branch_osize(const Decoder *d);
void decode_operands(Decoder *d, unsigned size);

/* decode_access.c */
unsigned decode_access(const Decoder *d, const uint8_t *opcode);

/* decode.c: choosing the handler; `end` closes the block */
void decode_set(Decoder *d, UopFn fn);
void decode_end(Decoder *d, UopFn fn);
void decode_invalid(Decoder *d);
void decode_choose(Decoder *d, UopFn for_reg, UopFn for_mem);
void decode_only_mem(Decoder *d, UopFn fn);
void decode_choose_lock(Decoder *d, UopFn for_reg, UopFn for_mem, UopFn for_lock);

static inline bool decode_is64(const Decoder *d) {
        return d->mode == MODE_64;
}

static inline bool decode_is_mem(const Decoder *d) {
        return d->mod != 3;
}

/* The opcode maps: one file each. */
void decode_primary(Decoder *d, uint8_t op); /* decode_primary.c */
void decode_map_0f(Decoder *d);              /* decode_0f.c */
bool decode_is_vector(uint8_t op);
void decode_far_pointer(Decoder *d, unsigned seg);
void decode_vector(Decoder *d, uint8_t op); /* decode_vector.c: MMX and SSE of map 0F */
void decode_map_0f38(Decoder *d);           /* decode_vector_0f3x.c */
void decode_map_0f3a(Decoder *d);
void decode_x87(Decoder *d, uint8_t op); /* decode_x87.c */
