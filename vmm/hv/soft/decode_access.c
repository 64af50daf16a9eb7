/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instruction does to its memory operand, and how long that is: outside 64-bit mode segments have rights and
 * limits.
 */
#include "vmm/hv/soft/decode_internal.h"

#define STORE EA_WRITE

static unsigned sized(unsigned size) { /* 0 byte .. 3 qword */
        return EA_BYTES(size);
}

static unsigned far_pointer(const Decoder *d) {
        return d->osize == 1 ? EA_BYTES(2) : EA_BYTES(EA_BYTES_6);
}

/* By the low bits of the opcode, as most of the first map has it: bytes or operands; to memory or from it. */
static unsigned by_direction(const Decoder *d, uint8_t op) {
        return sized(op & 1 ? d->osize : 0) | (op & 2 ? 0 : STORE);
}

/* FLDENV, FNSTENV, FRSTOR and FNSAVE: an image of the environment, with or without registers. */
static unsigned x87_image(const Decoder *d, bool registers) {
        return d->osize == 1 ? EA_BYTES(registers ? EA_BYTES_94 : EA_BYTES_14)
                             : EA_BYTES(registers ? EA_BYTES_108 : EA_BYTES_28);
}

static unsigned x87(const Decoder *d, uint8_t op) {
        /* Sizes (0 byte .. 3 qword, 6 ten bytes; 0 also for images) and stores by opcode and digit. */
        static const uint8_t sizes[8][8] = {
                {2, 2, 2, 2, 2, 2, 2, 2}, {2, 0, 2, 2, 0, 1, 0, 1}, {2, 2, 2, 2, 2, 2, 2, 2},
                {2, 2, 2, 2, 0, 6, 0, 6}, {3, 3, 3, 3, 3, 3, 3, 3}, {3, 3, 3, 3, 0, 0, 0, 1},
                {1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 6, 3, 6, 3},
        };
        static const uint8_t stores[8] = {0, 0xcc, 0, 0x8e, 0, 0xce, 0, 0xce};
        const unsigned digit = d->reg & 7, store = stores[op & 7] >> digit & 1 ? STORE : 0;

        if ((op == 0xd9 || op == 0xdd) && (digit == 4 || digit == 6))
                return x87_image(d, op == 0xdd) | store;
        return EA_BYTES(sizes[op & 7][digit]) | store;
}

static unsigned groups(const Decoder *d, uint8_t op) {
        const unsigned digit = d->reg & 7, size = sized(op & 1 ? d->osize : 0);

        switch (op) {
        case 0x80 ... 0x83:
                return size | (digit == 7 ? 0 : STORE); /* CMP */
        case 0xf6:
        case 0xf7:
                return size | (digit == 2 || digit == 3 ? STORE : 0); /* NOT, NEG */
        default:                                                      /* FE, FF */
                return digit == 3 || digit == 5 ? far_pointer(d) : size | (digit < 2 ? STORE : 0);
        }
}

static unsigned primary(const Decoder *d, uint8_t op) {
        switch (op) {
        case 0x00 ... 0x37:
                return by_direction(d, op);
        case 0x38 ... 0x3f: /* CMP */
        case 0x84:
        case 0x85:
        case 0x8a:
        case 0x8b:
        case 0xa0:
        case 0xa1:
        case 0xa6:
        case 0xa7:
        case 0xac ... 0xaf:
                return sized(op & 1 ? d->osize : 0);
        case 0x62: /* BOUND */
                return sized(d->osize + 1);
        case 0x63: /* ARPL */
        case 0x8c:
                return sized(1) | STORE;
        case 0x69:
        case 0x6b:
                return sized(d->osize);
        case 0x6c:
        case 0x6d:
        case 0x86 ... 0x89:
        case 0xa2 ... 0xa5:
        case 0xaa:
        case 0xab:
        case 0xc0:
        case 0xc1:
        case 0xc6:
        case 0xc7:
        case 0xd0 ... 0xd3:
                return sized(op & 1 ? d->osize : 0) | STORE;
        case 0x6e:
        case 0x6f:
                return sized(op & 1 ? d->osize : 0);
        case 0x8e:
                return sized(1);
        case 0x8f:
                return sized(d->osize) | STORE;
        case 0xc4:
        case 0xc5:
                return far_pointer(d);
        case 0xd8 ... 0xdf:
                return x87(d, op);
        case 0x80 ... 0x83:
        case 0xf6:
        case 0xf7:
        case 0xfe:
        case 0xff:
                return groups(d, op);
        default:
                return 0;
        }
}

static unsigned system_group(const Decoder *d, uint8_t op) {
        const unsigned digit = d->reg & 7;

        if (op == 0x00)
                return sized(1) | (digit < 2 ? STORE : 0);
        if (digit < 4)
                return EA_BYTES(EA_BYTES_6) | (digit < 2 ? STORE : 0);
        return digit == 7 ? 0 : sized(1) | (digit == 4 ? STORE : 0);
}

/* FXSAVE and its neighbours */
static unsigned images(const Decoder *d) {
        switch (d->reg & 7) {
        case 0:
                return EA_BYTES(EA_BYTES_512) | STORE;
        case 1:
                return EA_BYTES(EA_BYTES_512);
        case 2: /* LDMXCSR */
                return sized(2);
        case 3:
                return sized(2) | STORE;
        case 4: /* XSAVE, with its header; what follows is asked for when it is known which it is */
                return EA_BYTES(EA_BYTES_576) | STORE;
        case 5:
                return EA_BYTES(EA_BYTES_576);
        default: /* CLFLUSH */
                return 0;
        }
}

/* MMX and SSE: the opcode maps leave the size of the operand in the Uop. */
static unsigned vector(const Decoder *d, uint8_t op) {
        switch (op) {
        case 0x11:
        case 0x13:
        case 0x17:
        case 0x29:
        case 0x2b:
        case 0x7f:
        case 0xd6:
        case 0xe7:
        case 0xf7:
                return sized(d->u->size) | STORE;
        case 0x7e:
                return sized(d->u->size) | (d->rep == 0xf3 ? 0 : STORE);
        default:
                return sized(d->u->size);
        }
}

static unsigned three_bytes(const Decoder *d, const uint8_t *opcode) {
        if (opcode[1] == 0x3a) /* PEXTRB to EXTRACTPS */
                return sized(d->u->size) | (opcode[2] >= 0x14 && opcode[2] <= 0x17 ? STORE : 0);
        if (opcode[2] == 0x82) /* INVPCID */
                return sized(4);
        return sized(d->u->size) | (opcode[2] == 0xf1 && d->rep == 0 ? STORE : 0); /* MOVBE */
}

static unsigned two_bytes(const Decoder *d, uint8_t op) {
        switch (op) {
        case 0x00:
        case 0x01:
                return system_group(d, op);
        case 0x02:
        case 0x03:
        case 0xb7:
        case 0xbf:
                return sized(1);
        case 0x90 ... 0x9f:
                return STORE;
        case 0x40 ... 0x4f:
        case 0xa3:
        case 0xaf:
        case 0xb8:
        case 0xbc:
        case 0xbd:
                return sized(d->osize);
        case 0xa4:
        case 0xa5:
        case 0xab:
        case 0xac:
        case 0xad:
        case 0xb3:
        case 0xbb:
                return sized(d->osize) | STORE;
        case 0xae:
                return images(d);
        case 0xb0:
        case 0xb1:
        case 0xc0:
        case 0xc1:
                return sized(op & 1 ? d->osize : 0) | STORE;
        case 0xb2:
        case 0xb4:
        case 0xb5:
                return far_pointer(d);
        case 0xba:
                return sized(d->osize) | ((d->reg & 7) == 4 ? 0 : STORE);
        case 0xc3:
                return sized(2) | STORE;
        case 0xc7:
                return sized(3) | STORE;
        default:
                return decode_is_vector(op) ? vector(d, op) : 0;
        }
}

/** decode_access() - EA_WRITE and EA_BYTES() of the instruction whose opcode begins at @opcode */
unsigned decode_access(const Decoder *d, const uint8_t *opcode) {
        if (opcode[0] != 0x0f)
                return primary(d, opcode[0]);
        return opcode[1] == 0x38 || opcode[1] == 0x3a ? three_bytes(d, opcode)
                                                      : two_bytes(d, opcode[1]);
}
