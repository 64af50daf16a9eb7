/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to Uops: prefixes, operands, blocks (SDM volume 2 chapter 2). The opcode maps are in the files beside.
 */
#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/decode_internal.h"
#include "vmm/hv/soft/handlers.h"

/** decode_byte() - the next byte; beyond the end 0, and the instruction is truncated */
uint8_t decode_byte(Decoder *d) {
        if (d->pos >= d->avail || d->pos >= INSTRUCTION_MAX) {
                d->truncated = true;
                return 0;
        }
        return d->code[d->pos++];
}

/** decode_immediate() - a little-endian number of @bytes, zero-extended */
uint64_t decode_immediate(Decoder *d, unsigned bytes) {
        uint64_t v = 0;

        for (unsigned i = 0; i < bytes; i++)
                v |= (uint64_t) decode_byte(d) << (8 * i);
        return v;
}

/** decode_immediate_signed() - the same, sign-extended */
uint64_t decode_immediate_signed(Decoder *d, unsigned bytes) {
        uint64_t v = decode_immediate(d, bytes);

        return bytes == 1   ? (uint64_t) (int64_t) (int8_t) v
               : bytes == 2 ? (uint64_t) (int64_t) (int16_t) v
               : bytes == 4 ? (uint64_t) (int64_t) (int32_t) v
                            : v;
}

/* The usual immediate: operand size, at most 4 bytes and sign-extended. */
uint64_t decode_immediate_osize(Decoder *d, unsigned size) {
        return decode_immediate_signed(d, size == 0 ? 1 : size == 1 ? 2 : 4);
}

/* Where the byte register lies among the registers. */
uint8_t decode_byte_reg(const Decoder *d, unsigned n) {
        if (!d->has_rex && n >= 4 && n < 8)
                return (uint8_t) ((n - 4) * 8 + 1);
        return (uint8_t) (n * 8);
}

/** decode_sized_reg() - how a Uop names register @n of an operand of @size */
uint8_t decode_sized_reg(const Decoder *d, unsigned n, unsigned size) {
        return size == 0 ? decode_byte_reg(d, n) : (uint8_t) n;
}

static void address16(Decoder *d) {
        static const uint8_t bases[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
        static const uint8_t indexes[8] = {RSI,      RDI,      RSI,      RDI,
                                           REG_ZERO, REG_ZERO, REG_ZERO, REG_ZERO};
        Uop *u = d->u;
        unsigned rm = d->rm & 7;

        u->base = bases[rm];
        u->index = indexes[rm];
        u->seg = u->base == RBP ? SEG_SS : SEG_DS;
        if (d->mod == 0 && rm == 6) {
                u->base = REG_ZERO;
                u->seg = SEG_DS;
                u->disp = (int32_t) (int16_t) decode_immediate(d, 2);
        } else if (d->mod == 1) {
                u->disp = (int32_t) decode_immediate_signed(d, 1);
        } else if (d->mod == 2) {
                u->disp = (int32_t) (int16_t) decode_immediate(d, 2);
        }
}

static bool address32(Decoder *d) {
        Uop *u = d->u;
        unsigned rm = d->rm & 7;
        bool rip = false;

        u->seg = SEG_DS;
        if (rm == 4) {
                uint8_t sib = decode_byte(d);
                unsigned base = sib & 7u, index = (sib >> 3 & 7u) | (d->rex & 2 ? 8u : 0);

                u->scale = sib >> 6;
                u->index = index == 4 ? REG_ZERO : (uint8_t) index;
                if (base == 5 && d->mod == 0) {
                        u->base = REG_ZERO;
                        u->disp = (int32_t) decode_immediate(d, 4);
                } else {
                        u->base = (uint8_t) (base | (d->rex & 1 ? 8u : 0));
                        if (u->base == RSP || u->base == RBP)
                                u->seg = SEG_SS;
                }
        } else if (rm == 5 && d->mod == 0) {
                u->disp = (int32_t) decode_immediate(d, 4);
                rip = decode_is64(d);
                u->base = rip ? REG_BLOCK : REG_ZERO;
        } else {
                u->base = d->rm;
                if (u->base == RBP)
                        u->seg = SEG_SS;
        }
        if (d->mod == 1)
                u->disp = (int32_t) decode_immediate_signed(d, 1);
        else if (d->mod == 2)
                u->disp = (int32_t) decode_immediate(d, 4);
        return rip;
}

static bool rip_relative(const Decoder *d) {
        return d->mod == 0 && (d->rm & 7) == 5 && decode_is64(d);
}

/** decode_modrm() - ModRM, SIB and displacement into the decoder and the Uop's address */
void decode_modrm(Decoder *d) {
        uint8_t b = decode_byte(d);

        d->mod = b >> 6;
        d->reg = (uint8_t) ((b >> 3 & 7) | (d->rex & 4 ? 8 : 0));
        d->rm = (uint8_t) ((b & 7) | (d->rex & 1 ? 8 : 0));
        if (d->mod == 3)
                return;
        if (d->asize == 1)
                address16(d);
        else
                (void) address32(d);
        if (d->seg >= 0)
                d->u->seg = (uint8_t) d->seg;
}

/* ---- choosing handlers ---- */

/** decode_set() - choose the handler */
void decode_set(Decoder *d, UopFn fn) {
        d->u->fn = fn;
}

/** decode_end() - choose the handler, after which the block ends */
void decode_end(Decoder *d, UopFn fn) {
        d->u->fn = fn;
        d->end = true;
}

/** decode_invalid() - #UD */
void decode_invalid(Decoder *d) {
        decode_end(d, op_invalid);
}

/* reg and rm for operands of @size */
void decode_operands(Decoder *d, unsigned size) {
        d->u->size = (uint8_t) size;
        d->u->reg = decode_sized_reg(d, d->reg, size);
        d->u->rm = decode_sized_reg(d, d->rm, size);
}

/** decode_choose() - by whether ModRM names a register or memory */
void decode_choose(Decoder *d, UopFn for_reg, UopFn for_mem) {
        decode_set(d, decode_is_mem(d) ? for_mem : for_reg);
}

/** decode_only_mem() - #UD for the register form */
void decode_only_mem(Decoder *d, UopFn fn) {
        if (decode_is_mem(d))
                decode_set(d, fn);
        else
                decode_invalid(d);
}

/* A locked form exists only where memory is written. */
void decode_choose_lock(Decoder *d, UopFn for_reg, UopFn for_mem, UopFn for_lock) {
        if (d->lock && !decode_is_mem(d))
                decode_invalid(d);
        else
                decode_set(d, !decode_is_mem(d) ? for_reg : d->lock ? for_lock : for_mem);
        d->lock = false;
}

/** decode_stack_osize() - operand size of PUSH and POP */
unsigned decode_stack_osize(const Decoder *d) {
        return decode_is64(d) ? (d->rex & 8 || !d->opsize ? 3 : 1) : d->osize;
}

/** decode_branch_osize() - operand size of near branches */
unsigned decode_branch_osize(const Decoder *d) {
        return decode_is64(d)
                       ? 3
                       : d->osize; /* Intel: the operand size prefix is ignored in 64-bit mode */
}

static uint8_t prefixes(Decoder *d) {
        for (;;) {
                uint8_t b = decode_byte(d);

                if (d->truncated)
                        return 0;
                switch (b) {
                case 0x26:
                case 0x2e:
                case 0x36:
                case 0x3e:
                        if (!decode_is64(d))
                                d->seg = b >> 3 & 3;
                        break;
                case 0x64:
                        d->seg = SEG_FS;
                        break;
                case 0x65:
                        d->seg = SEG_GS;
                        break;
                case 0x66:
                        d->opsize = true;
                        break;
                case 0x67:
                        d->addrsize_prefix = true;
                        break;
                case 0xf0:
                        d->lock = true;
                        break;
                case 0xf2:
                case 0xf3:
                        d->rep = b;
                        break;
                default:
                        if (decode_is64(d) && (b & 0xf0) == 0x40) {
                                d->rex = b & 15;
                                d->has_rex = true;
                                b = decode_byte(d); /* REX counts only right before the opcode */
                                if (d->truncated)
                                        return 0;
                                switch (b) {
                                case 0x26:
                                case 0x2e:
                                case 0x36:
                                case 0x3e:
                                case 0x64:
                                case 0x65:
                                case 0x66:
                                case 0x67:
                                case 0xf0:
                                case 0xf2:
                                case 0xf3:
                                case 0x40 ... 0x4f:
                                        d->rex = 0;
                                        d->has_rex = false;
                                        d->pos--;
                                        continue;
                                default:
                                        break;
                                }
                        }
                        return b;
                }
        }
}

/* PUSH, POP, CALL, RET, ENTER, LEAVE and the like without a memory operand: faults of the access are the stack's. */
static bool uses_stack_only(uint8_t op) {
        switch (op) {
        case 0x50 ... 0x5f:
        case 0x68:
        case 0x6a:
        case 0x9c:
        case 0x9d:
        case 0xc2:
        case 0xc3:
        case 0xc8 ... 0xcb:
        case 0xcf:
        case 0xe8:
                return true;
        default:
                return false;
        }
}

static bool one(Decoder *d) {
        bool is32 = d->mode == MODE_32;
        const uint8_t *opcode;
        uint8_t op;

        *d->u = (Uop){.base = REG_ZERO, .index = REG_ZERO};
        op = prefixes(d);
        if (decode_is64(d)) {
                d->osize = d->rex & 8 ? 3 : d->opsize ? 1 : 2;
                d->asize = d->addrsize_prefix ? 2 : 3;
        } else {
                d->osize = d->opsize != is32 ? 2 : 1;
                d->asize = d->addrsize_prefix != is32 ? 2 : 1;
        }
        opcode = d->code + d->pos - 1;
        if (!d->truncated)
                decode_primary(d, op);
        if (!decode_is64(d) && !d->truncated)
                d->access = decode_access(d, opcode);
        if (uses_stack_only(op))
                d->u->seg = SEG_SS;
        if (d->truncated)
                return false;
        if (d->lock)
                decode_invalid(d);
        return true;
}

/* Flat addresses take the short way. */
static void finish_address(const Decoder *d, Uop *u) {
        bool plain = d->mode == MODE_64 && d->asize == 3 && u->seg != SEG_FS && u->seg != SEG_GS;

        u->ea = (uint8_t) ((plain ? EA_PLAIN : EA_SEGMENT) | d->asize << 4 | d->access);
}

/* From the next instruction to the block, which is @bytes before. Return: whether the distance fits. */
static bool rebase(Uop *u, unsigned bytes) {
        int32_t disp = u->disp;

        return ADD_CHECKED(disp, (int32_t) bytes, &u->disp);
}

/**
 * decode_block() - decode straight-line code
 * @code, @avail: bytes of one page
 * @mode:  MODE_*
 * @max:   Uops that fit into @uops
 * @ret_bytes: how many bytes they cover
 *
 * Return: Uops made; 0 when not even the first instruction ends within @avail bytes.
 */
unsigned decode_block(ThunkCache *thunks, const uint8_t *code, unsigned avail, unsigned mode,
                      unsigned max, Uop *uops, unsigned *ret_bytes) {
        unsigned n = 0, at = 0;
        bool ended = false;

        while (n < max && !ended && at < avail) {
                Decoder d = {.thunks = thunks,
                             .code = code + at,
                             .avail = MIN(avail - at, INSTRUCTION_MAX),
                             .mode = mode & MODE_CODE,
                             .seg = -1,
                             .u = &uops[n]};

                d.mod = 3;
                if (!one(&d)) {
                        if (d.pos < INSTRUCTION_MAX)
                                break; /* goes on behind what we were given */
                        uops[n] = (Uop){.fn = op_too_long, .base = REG_ZERO, .index = REG_ZERO};
                        d.end = true;
                }
                uops[n].ip = (uint16_t) at;
                uops[n].len = (uint8_t) d.pos;
                finish_address(&d, &uops[n]);
                if (rip_relative(&d) && !rebase(&uops[n], at + d.pos) && n > 0)
                        break; /* it fits at the start of a block of its own, but for the last few bytes of 2 GiB */
                at += d.pos;
                ended = d.end;
                n++;
        }
        *ret_bytes = at;
        return n;
}
