/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Instruction forms of user mode that the software processor and the host must agree about. */

#include <stdint.h>

#define M 0x1u            /* a ModRM byte */
#define MEM 0x3u          /* a memory operand only */
#define REG 0x5u          /* a register operand only */
#define I8 0x8u           /* an immediate byte */
#define I16 0x10u         /* an immediate word */
#define IZ 0x20u          /* an immediate of the operand size, at most 4 bytes */
#define IV 0x40u          /* an immediate of the operand size */
#define O 0x80u           /* the operand size prefix is allowed */
#define W 0x100u          /* REX.W means something */
#define L 0x200u          /* LOCK is allowed with memory */
#define REP 0x400u        /* REP prefixes mean something */
#define REL8 0x800u       /* a branch distance */
#define REL32 0x1000u     /* the same, 4 bytes */
#define CODE_PTR 0x2000u  /* the operand is an address to go to */
#define FIX_MXCSR 0x4000u /* memory holds an MXCSR; fxrstor: 24 bytes in */
#define ENV 0x8000u       /* writes an x87 environment or image */
#define UNDEF_FLAGS                                                                                \
        0x10000u /* the handler does not execute the host's instruction and flags are undefined */
#define NO_REP 0x20000u      /* a stray REP prefix makes another instruction of it */
#define BIG 0x40000u         /* a memory operand of up to 512 bytes */
#define MOFFS 0x80000u       /* an absolute address of 8 bytes */
#define STRINGS 0x100000u    /* RSI, RDI and RCX are addresses and a count */
#define UNDEF_SZAP 0x200000u /* the same for SF, ZF, AF and PF */

#define NO_LOCK 0x800000u     /* what LOCK means differs between vendors */
#define NO_PENDING 0x1000000u /* only without a pending x87 exception */
#define POPS_FLAGS 0x2000000u /* the flags that it pops may not stop the test itself */
#define MMX_FAULTS 0x400000u  /* the x87's tags after a fault are anybody's guess */

typedef struct Form {
        uint8_t map; /* 0 one byte, 1 0F, 2 0F38, 3 0F3A */
        uint8_t first, last;
        uint8_t prefix; /* mandatory: 0, 0x66, 0xf3, 0xf2 */
        int8_t digit;   /* of the ModRM byte, -1 any */
        uint32_t flags;
        uint32_t feature; /* bit of CPUID 1.ECX, plus 1; 0 none */
} Form;

#define SSE3 1
#define PCLMUL 2
#define SSSE3 10
#define SSE41 20
#define SSE42 21
#define MOVBE 23
#define POPCNT 24
#define AES 26

#define ALL_PREFIXES(map, first, last, flags, feature)                                             \
        {map, first, last, 0, -1, flags, feature}, {map, first, last, 0x66, -1, flags, feature},   \
                {map, first, last, 0xf3, -1, flags, feature}, {                                    \
                map, first, last, 0xf2, -1, flags, feature                                         \
        }
#define MMX_SSE(map, first, last, flags, feature)                                                  \
        {map, first, last, 0, -1, flags, feature}, {                                               \
                map, first, last, 0x66, -1, flags, feature                                         \
        }

static const Form forms[] = {
        /* arithmetic */
        {0, 0x00, 0x01, 0, -1, M | O | W | L, 0},
        {0, 0x02, 0x03, 0, -1, M | O | W, 0},
        {0, 0x04, 0x04, 0, -1, I8, 0},
        {0, 0x05, 0x05, 0, -1, IZ | O | W, 0},
        {0, 0x08, 0x09, 0, -1, M | O | W | L, 0},
        {0, 0x0a, 0x0b, 0, -1, M | O | W, 0},
        {0, 0x0c, 0x0c, 0, -1, I8, 0},
        {0, 0x0d, 0x0d, 0, -1, IZ | O | W, 0},
        {0, 0x10, 0x11, 0, -1, M | O | W | L, 0},
        {0, 0x12, 0x13, 0, -1, M | O | W, 0},
        {0, 0x14, 0x14, 0, -1, I8, 0},
        {0, 0x15, 0x15, 0, -1, IZ | O | W, 0},
        {0, 0x18, 0x19, 0, -1, M | O | W | L, 0},
        {0, 0x1a, 0x1b, 0, -1, M | O | W, 0},
        {0, 0x1c, 0x1c, 0, -1, I8, 0},
        {0, 0x1d, 0x1d, 0, -1, IZ | O | W, 0},
        {0, 0x20, 0x21, 0, -1, M | O | W | L, 0},
        {0, 0x22, 0x23, 0, -1, M | O | W, 0},
        {0, 0x24, 0x24, 0, -1, I8, 0},
        {0, 0x25, 0x25, 0, -1, IZ | O | W, 0},
        {0, 0x28, 0x29, 0, -1, M | O | W | L, 0},
        {0, 0x2a, 0x2b, 0, -1, M | O | W, 0},
        {0, 0x2c, 0x2c, 0, -1, I8, 0},
        {0, 0x2d, 0x2d, 0, -1, IZ | O | W, 0},
        {0, 0x30, 0x31, 0, -1, M | O | W | L, 0},
        {0, 0x32, 0x33, 0, -1, M | O | W, 0},
        {0, 0x34, 0x34, 0, -1, I8, 0},
        {0, 0x35, 0x35, 0, -1, IZ | O | W, 0},
        {0, 0x38, 0x3b, 0, -1, M | O | W, 0},
        {0, 0x3c, 0x3c, 0, -1, I8, 0},
        {0, 0x3d, 0x3d, 0, -1, IZ | O | W, 0},
        {0, 0x80, 0x80, 0, -1, M | I8 | L, 0},
        {0, 0x81, 0x81, 0, -1, M | IZ | O | W | L, 0},
        {0, 0x83, 0x83, 0, -1, M | I8 | O | W | L, 0},
        {0, 0x84, 0x85, 0, -1, M | O | W, 0},
        {0, 0x86, 0x87, 0, -1, M | O | W | L, 0},
        {0, 0x88, 0x8b, 0, -1, M | O | W, 0},
        {0, 0x63, 0x63, 0, -1, M | W, 0},
        {0, 0x69, 0x69, 0, -1, M | IZ | O | W | UNDEF_SZAP, 0},
        {0, 0x6b, 0x6b, 0, -1, M | I8 | O | W | UNDEF_SZAP, 0},
        {0, 0x8d, 0x8d, 0, -1, M | O | W, 0},
        {0, 0x90, 0x97, 0, -1, O | W, 0},
        {0, 0x98, 0x99, 0, -1, O | W, 0},
        {0, 0x9e, 0x9f, 0, -1, 0, 0},
        {0, 0xa0, 0xa3, 0, -1, MOFFS | O | W, 0},
        {0, 0xa8, 0xa8, 0, -1, I8, 0},
        {0, 0xa9, 0xa9, 0, -1, IZ | O | W, 0},
        {0, 0xb0, 0xb7, 0, -1, I8, 0},
        {0, 0xb8, 0xbf, 0, -1, IV | O | W, 0},
        {0, 0xc0, 0xc1, 0, -1, M | I8 | O | W, 0},
        {0, 0xd0, 0xd3, 0, -1, M | O | W, 0},
        {0, 0xc6, 0xc6, 0, 0, M | I8, 0},
        {0, 0xc7, 0xc7, 0, 0, M | IZ | O | W, 0},
        {0, 0xc6, 0xc7, 0, 3, MEM | O, 0},
        {0, 0xf5, 0xf5, 0, -1, 0, 0},
        {0, 0xf8, 0xf9, 0, -1, 0, 0},
        {0, 0xfc, 0xfd, 0, -1, 0, 0},
        {0, 0xf6, 0xf6, 0, 0, M | I8, 0},
        {0, 0xf7, 0xf7, 0, 0, M | IZ | O | W, 0},
        {0, 0xf6, 0xf6, 0, 1, M | I8, 0},
        {0, 0xf7, 0xf7, 0, 1, M | IZ | O | W, 0},
        {0, 0xf6, 0xf7, 0, 2, M | O | W | L, 0},
        {0, 0xf6, 0xf7, 0, 3, M | O | W | L, 0},
        {0, 0xf6, 0xf7, 0, 4, M | O | W | UNDEF_SZAP, 0},
        {0, 0xf6, 0xf7, 0, 5, M | O | W | UNDEF_SZAP, 0},
        {0, 0xf6, 0xf7, 0, 6, M | O | W | UNDEF_FLAGS, 0},
        {0, 0xf6, 0xf7, 0, 7, M | O | W | UNDEF_FLAGS, 0},
        {0, 0xfe, 0xff, 0, 0, M | O | W | L, 0},
        {0, 0xfe, 0xff, 0, 1, M | O | W | L, 0},
        {0, 0xfe, 0xfe, 0, 4, M, 0},
        {0, 0xff, 0xff, 0, 7, M, 0},
        {0, 0xd7, 0xd7, 0, -1, O | W, 0},
        /* what 64-bit mode has not, and what user mode may not */
        {0, 0x06, 0x07, 0, -1, 0, 0},
        {0, 0x27, 0x27, 0, -1, 0, 0},
        {0, 0x60, 0x61, 0, -1, 0, 0},
        {0, 0x82, 0x82, 0, -1, M | I8, 0},
        {0, 0x9a, 0x9a, 0, -1, IZ, 0},
        {0, 0xce, 0xce, 0, -1, 0, 0},
        {0, 0xd4, 0xd6, 0, -1, I8, 0},
        {0, 0xea, 0xea, 0, -1, IZ, 0},
        {0, 0xe4, 0xe7, 0, -1, I8 | O, 0},
        {0, 0xec, 0xef, 0, -1, O, 0},
        {0, 0xf4, 0xf4, 0, -1, 0, 0},
        {0, 0xfa, 0xfb, 0, -1, 0, 0},
        {0, 0x6c, 0x6f, 0, -1, REP | O | STRINGS, 0},
        {1, 0x00, 0x00, 0, 2, M, 0},
        {1, 0x00, 0x00, 0, 3, M, 0},
        {1, 0x01, 0x01, 0, 2, MEM, 0},
        {1, 0x01, 0x01, 0, 3, MEM, 0},
        {1, 0x01, 0x01, 0, 6, M, 0},
        {1, 0x01, 0x01, 0, 7, MEM, 0},
        {1, 0x06, 0x06, 0, -1, 0, 0},
        {1, 0x07, 0x09, 0, -1, 0, 0},
        {1, 0x0b, 0x0b, 0, -1, 0, 0},
        {1, 0xff, 0xff, 0, -1, M, 0},
        {1, 0xb9, 0xb9, 0, -1, M, 0},
        {1, 0x20, 0x20, 0, 0, REG | NO_LOCK, 0},
        {1, 0x20, 0x20, 0, 2, REG, 0},
        {1, 0x20, 0x20, 0, 4, REG, 0},
        {1, 0x22, 0x22, 0, 0, REG | NO_LOCK, 0},
        {1, 0x22, 0x22, 0, 2, REG, 0},
        {1, 0x22, 0x22, 0, 3, REG, 0},
        {1, 0x22, 0x22, 0, 4, REG, 0},
        {1, 0x20, 0x20, 0, 5, REG, 0},
        {1, 0x30, 0x30, 0, -1, 0, 0},
        {1, 0x32, 0x32, 0, -1, 0, 0},
        {1, 0x04, 0x04, 0, -1, 0, 0},
        {1, 0x0a, 0x0a, 0, -1, 0, 0},
        {1, 0x0c, 0x0c, 0, -1, 0, 0},
        {1, 0x24, 0x27, 0, -1, M, 0},
        {1, 0x36, 0x36, 0, -1, 0, 0},
        {1, 0x39, 0x39, 0, -1, 0, 0},
        /* stack */
        {0, 0x50, 0x5f, 0, -1, O | W, 0},
        {0, 0x68, 0x68, 0, -1, IZ | O, 0},
        {0, 0x6a, 0x6a, 0, -1, I8 | O, 0},
        {0, 0x8f, 0x8f, 0, 0, M | O, 0},
        {0, 0xff, 0xff, 0, 6, M | O, 0},
        {0, 0xc8, 0xc8, 0, -1, I16 | I8 | O, 0},
        {0, 0xc9, 0xc9, 0, -1, O, 0},
        {0, 0x9c, 0x9c, 0, -1, O, 0},
        {0, 0x9d, 0x9d, 0, -1, O | POPS_FLAGS, 0},
        {1, 0xa0, 0xa0, 0, -1, O, 0},
        {1, 0xa8, 0xa8, 0, -1, O, 0},
        {0, 0x8c, 0x8c, 0, -1, M | O | W, 0},
        /* branches */
        {0, 0x70, 0x7f, 0, -1, REL8, 0},
        {1, 0x80, 0x8f, 0, -1, REL32, 0},
        {0, 0xe0, 0xe3, 0, -1, REL8, 0},
        {0, 0xe8, 0xe9, 0, -1, REL32, 0},
        {0, 0xeb, 0xeb, 0, -1, REL8, 0},
        {0, 0xc2, 0xc2, 0, -1, I16 | CODE_PTR, 0},
        {0, 0xc3, 0xc3, 0, -1, CODE_PTR, 0},
        {0, 0xff, 0xff, 0, 2, M | CODE_PTR, 0},
        {0, 0xff, 0xff, 0, 4, M | CODE_PTR, 0},
        /* strings */
        {0, 0xa4, 0xa7, 0, -1, REP | O | W | STRINGS, 0},
        {0, 0xaa, 0xaf, 0, -1, REP | O | W | STRINGS, 0},
        /* 0F integer */
        {1, 0x40, 0x4f, 0, -1, M | O | W | NO_REP, 0},
        {1, 0x90, 0x9f, 0, -1, M | O | NO_REP, 0},
        {1, 0xa3, 0xa3, 0, -1, M | O | W, 0},
        {1, 0xab, 0xab, 0, -1, M | O | W | L, 0},
        {1, 0xb3, 0xb3, 0, -1, M | O | W | L, 0},
        {1, 0xbb, 0xbb, 0, -1, M | O | W | L, 0},
        {1, 0xba, 0xba, 0, -1, M | I8 | O | W | L, 0},
        {1, 0xa4, 0xa4, 0, -1, M | I8 | O | W, 0},
        {1, 0xa5, 0xa5, 0, -1, M | O | W, 0},
        {1, 0xac, 0xac, 0, -1, M | I8 | O | W, 0},
        {1, 0xad, 0xad, 0, -1, M | O | W, 0},
        {1, 0xaf, 0xaf, 0, -1, M | O | W | UNDEF_SZAP, 0},
        {1, 0xb0, 0xb1, 0, -1, M | O | W | L, 0},
        {1, 0xb6, 0xb7, 0, -1, M | O | W, 0},
        {1, 0xbe, 0xbf, 0, -1, M | O | W, 0},
        {1, 0xb8, 0xb8, 0xf3, -1, M | O | W, POPCNT},
        {1, 0xbc, 0xbd, 0, -1, M | O | W | NO_REP, 0},
        {1, 0xc0, 0xc1, 0, -1, M | O | W | L, 0},
        {1, 0xc7, 0xc7, 0, 1, MEM | W | L | O, 0},
        {1, 0xc8, 0xcf, 0, -1, W, 0},
        {1, 0x0d, 0x0d, 0, -1, MEM | O, 0},
        {1, 0x18, 0x1f, 0, -1, M | O | NO_REP, 0},
        {2, 0xf0, 0xf1, 0, -1, MEM | O | W, MOVBE},
        {2, 0xf0, 0xf1, 0xf3, -1, MEM | W, MOVBE},
        {2, 0xf0, 0xf1, 0xf2, -1, M | O | W, SSE42},
        ALL_PREFIXES(1, 0xc3, 0xc3, MEM | W, 0), /* movnti */
        {1, 0xae, 0xae, 0, 5, REG, 0},
        {1, 0xae, 0xae, 0, 6, REG, 0},
        {1, 0xae, 0xae, 0, 7, REG, 0},
        {1, 0xae, 0xae, 0, 7, MEM, 0},
        {1, 0xae, 0xae, 0, 2, MEM | FIX_MXCSR, 0},
        {1, 0xae, 0xae, 0, 3, MEM, 0},
        {1, 0xae, 0xae, 0, 0, MEM | W | ENV | BIG, 0},
        {1, 0xae, 0xae, 0, 1, MEM | W | FIX_MXCSR | BIG, 0},
        {1, 0xae, 0xae, 0x66, 0, MEM | BIG, 0},
        {1, 0xae, 0xae, 0xf3, 0, MEM | BIG, 0},
        {1, 0xae, 0xae, 0xf2, 0, MEM | BIG, 0},
        {1, 0xae, 0xae, 0x66, 1, MEM | BIG, 0},
        {1, 0xae, 0xae, 0xf3, 1, MEM | BIG, 0},
        {1, 0xae, 0xae, 0xf2, 1, MEM | BIG, 0},
        {1, 0xae, 0xae, 0x66, 2, MEM | FIX_MXCSR, 0},
        {1, 0xae, 0xae, 0xf3, 2, MEM | FIX_MXCSR, 0},
        {1, 0xae, 0xae, 0xf2, 2, MEM | FIX_MXCSR, 0},
        {1, 0xae, 0xae, 0x66, 3, MEM, 0},
        {1, 0xae, 0xae, 0xf3, 3, MEM, 0},
        {1, 0xae, 0xae, 0xf2, 3, MEM, 0},
        {1, 0xae, 0xae, 0x66, 5, REG, 0},
        {1, 0xae, 0xae, 0xf2, 5, REG, 0},
        {1, 0xae, 0xae, 0x66, 7, REG, 0}, /* with memory CLFLUSHOPT, where the host has it */
        {1, 0xae, 0xae, 0xf3, 7, M, 0},
        {1, 0xae, 0xae, 0xf2, 7, M, 0},
        /* SSE and SSE2, with MMX where there is no prefix */
        ALL_PREFIXES(1, 0x10, 0x11, M, 0),
        MMX_SSE(1, 0x12, 0x17, M, 0),
        {1, 0x12, 0x12, 0xf3, -1, M, SSE3},
        {1, 0x12, 0x12, 0xf2, -1, M, SSE3},
        {1, 0x16, 0x16, 0xf3, -1, M, SSE3},
        {1, 0x16, 0x16, 0xf2, -1, M, SSE3},
        MMX_SSE(1, 0x28, 0x29, M, 0),
        ALL_PREFIXES(1, 0x2a, 0x2a, REG | W, 0),
        ALL_PREFIXES(1, 0x2a, 0x2a, MEM | W | NO_PENDING, 0),
        MMX_SSE(1, 0x2b, 0x2b, M, 0),
        ALL_PREFIXES(1, 0x2c, 0x2d, M | W | MMX_FAULTS, 0),
        MMX_SSE(1, 0x2e, 0x2f, M, 0),
        MMX_SSE(1, 0x50, 0x50, M | W, 0),
        ALL_PREFIXES(1, 0x51, 0x51, M, 0),
        {1, 0x52, 0x53, 0, -1, M, 0},
        {1, 0x52, 0x53, 0xf3, -1, M, 0},
        {1, 0x52, 0x53, 0x66, -1, M, 0},
        MMX_SSE(1, 0x54, 0x57, M, 0),
        ALL_PREFIXES(1, 0x58, 0x5a, M, 0),
        ALL_PREFIXES(1, 0x5b, 0x5b, M, 0),
        ALL_PREFIXES(1, 0x5c, 0x5f, M, 0),
        MMX_SSE(1, 0x60, 0x6d, M, 0),
        MMX_SSE(1, 0x6e, 0x6e, M | W, 0),
        MMX_SSE(1, 0x6f, 0x6f, M, 0),
        {1, 0x6f, 0x6f, 0xf3, -1, M, 0},
        ALL_PREFIXES(1, 0x70, 0x70, M | I8, 0),
        MMX_SSE(1, 0x71, 0x73, REG | I8, 0),
        MMX_SSE(1, 0x74, 0x76, M, 0),
        ALL_PREFIXES(1, 0x77, 0x77, 0, 0),
        {1, 0x7c, 0x7d, 0x66, -1, M, SSE3},
        {1, 0x7c, 0x7d, 0xf2, -1, M, SSE3},
        MMX_SSE(1, 0x7e, 0x7e, M | W, 0),
        {1, 0x7e, 0x7e, 0xf3, -1, M, 0},
        MMX_SSE(1, 0x7f, 0x7f, M, 0),
        {1, 0x7f, 0x7f, 0xf3, -1, M, 0},
        ALL_PREFIXES(1, 0xc2, 0xc2, M | I8, 0),
        MMX_SSE(1, 0xc4, 0xc5, M | I8, 0),
        MMX_SSE(1, 0xc6, 0xc6, M | I8, 0),
        {1, 0xd0, 0xd0, 0x66, -1, M, SSE3},
        {1, 0xd0, 0xd0, 0xf2, -1, M, SSE3},
        MMX_SSE(1, 0xd1, 0xd5, M, 0),
        ALL_PREFIXES(1, 0xd6, 0xd6, M, 0),
        MMX_SSE(1, 0xd7, 0xe5, M, 0),
        ALL_PREFIXES(1, 0xe6, 0xe6, M, 0),
        MMX_SSE(1, 0xe7, 0xef, M, 0),
        {1, 0xf0, 0xf0, 0xf2, -1, M, SSE3},
        MMX_SSE(1, 0xf1, 0xf6, M, 0),
        MMX_SSE(1, 0xf7, 0xf7, REG | MMX_FAULTS, 0),
        MMX_SSE(1, 0xf8, 0xfe, M, 0),
        MMX_SSE(2, 0x00, 0x0b, M, SSSE3),
        MMX_SSE(2, 0x1c, 0x1e, M, SSSE3),
        MMX_SSE(3, 0x0f, 0x0f, M | I8, SSSE3),
        {2, 0x10, 0x10, 0x66, -1, M, SSE41},
        {2, 0x14, 0x15, 0x66, -1, M, SSE41},
        {2, 0x17, 0x17, 0x66, -1, M, SSE41},
        {2, 0x20, 0x25, 0x66, -1, M, SSE41},
        {2, 0x28, 0x2b, 0x66, -1, M, SSE41},
        {2, 0x30, 0x35, 0x66, -1, M, SSE41},
        {2, 0x37, 0x37, 0x66, -1, M, SSE42},
        {2, 0x38, 0x41, 0x66, -1, M, SSE41},
        {2, 0xdb, 0xdf, 0x66, -1, M, AES},
        {3, 0x08, 0x0e, 0x66, -1, M | I8, SSE41},
        {3, 0x14, 0x17, 0x66, -1, M | I8 | W, SSE41},
        {3, 0x20, 0x22, 0x66, -1, M | I8 | W, SSE41},
        {3, 0x40, 0x42, 0x66, -1, M | I8, SSE41},
        {3, 0x44, 0x44, 0x66, -1, M | I8, PCLMUL},
        {3, 0x60, 0x63, 0x66, -1, M | I8, SSE42},
        {3, 0xdf, 0xdf, 0x66, -1, M | I8, AES},
        /* without their prefix these do not exist */
        {2, 0x10, 0x41, 0, -1, M, SSE41},
        {3, 0x08, 0x0e, 0, -1, M | I8, SSE41},
        {3, 0x14, 0x63, 0, -1, M | I8, SSE41},
        /* x87 */
        {0, 0xd8, 0xdf, 0, -1, REG, 0},
        {0, 0xd8, 0xdf, 0, -1, REG, 0},
        {0, 0xd8, 0xdf, 0, -1, REG, 0},
        {0, 0xd8, 0xd8, 0, -1, MEM | BIG, 0},
        {0, 0xd9, 0xd9, 0, 0, MEM | BIG, 0},
        {0, 0xd9, 0xd9, 0, 1, MEM | BIG, 0},
        {0, 0xd9, 0xd9, 0, 2, MEM | BIG, 0},
        {0, 0xd9, 0xd9, 0, 3, MEM | BIG, 0},
        {0, 0xd9, 0xd9, 0, 4, MEM | BIG | O, 0},
        {0, 0xd9, 0xd9, 0, 5, MEM | BIG, 0},
        {0, 0xd9, 0xd9, 0, 6, MEM | BIG | ENV | O, 0},
        {0, 0xd9, 0xd9, 0, 7, MEM | BIG, 0},
        {0, 0xda, 0xdc, 0, -1, MEM | BIG, 0},
        {0, 0xdd, 0xdd, 0, 0, MEM | BIG, 0},
        {0, 0xdd, 0xdd, 0, 1, MEM | BIG, 0},
        {0, 0xdd, 0xdd, 0, 2, MEM | BIG, 0},
        {0, 0xdd, 0xdd, 0, 3, MEM | BIG, 0},
        {0, 0xdd, 0xdd, 0, 4, MEM | BIG | O, 0},
        {0, 0xdd, 0xdd, 0, 6, MEM | ENV | BIG | O, 0},
        {0, 0xdd, 0xdd, 0, 7, MEM | BIG, 0},
        {0, 0xde, 0xdf, 0, -1, MEM | BIG, 0},
        {0, 0x9b, 0x9b, 0, -1, 0, 0},
};

#define N_FORMS (sizeof(forms) / sizeof(forms[0]))
