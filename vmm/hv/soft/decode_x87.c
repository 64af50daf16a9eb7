/* SPDX-License-Identifier: Apache-2.0 */
/* x87 instructions, opcodes D8 to DF (SDM volume 2 tables ). */
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/decode_internal.h"
#include "vmm/hv/soft/handlers.h"

void decode_x87(Decoder *d, uint8_t op) {
        unsigned n;
        uint8_t bytes[2];

        decode_modrm(d);
        n = d->reg & 7;
        d->u->size = (uint8_t) d->osize; /* of environments */
        if (!decode_is_mem(d)) {
                uint8_t m = (uint8_t) (0xc0 | n << 3 | (d->rm & 7));
                ThunkKind kind = THUNK_PLAIN;
                UopFn fn = op_x87_r;

                if ((op == 0xda || op == 0xdb) && n < 4) {
                        kind = THUNK_WITH_FLAGS;
                        fn = op_x87_fcmov;
                } else if ((op == 0xdb || op == 0xdf) && (n == 5 || n == 6)) {
                        kind = THUNK_FLAGS;
                        fn = op_x87_fcomi;
                } else if (op == 0xdb && m == 0xe2) {
                        decode_set(d, op_x87_fnclex);
                        return;
                } else if (op == 0xdb && m == 0xe3) {
                        decode_set(d, op_x87_fninit);
                        return;
                } else if (op == 0xdb && (m == 0xe0 || m == 0xe1 || m == 0xe4)) {
                        decode_set(d, op_nop); /* 8087 and 287 leftovers */
                        return;
                } else if (op == 0xdf && m == 0xe0) {
                        decode_set(d, op_x87_fnstsw_ax);
                        return;
                } else if ((op == 0xd9 && (m == 0xd1 || (m >= 0xd2 && m <= 0xd7) || m == 0xe2 ||
                                           m == 0xe3 || m == 0xe6 || m == 0xe7 || m == 0xef)) ||
                           (op == 0xda && m != 0xe9 && m >= 0xe0) ||
                           (op == 0xdb && m >= 0xe5 && m <= 0xe7) || (op == 0xdb && m >= 0xf8) ||
                           (op == 0xdd && m >= 0xf0) ||
                           (op == 0xde && m >= 0xd8 && m <= 0xdf && m != 0xd9) ||
                           (op == 0xdf && (m > 0xe0 && m < 0xe8)) || (op == 0xdf && m >= 0xf8)) {
                        decode_invalid(d);
                        return;
                }
                bytes[0] = op;
                bytes[1] = m;
                d->u->imm = (uint64_t) (uintptr_t) thunk_get(d->thunks, kind, bytes, 2);
                if (d->u->imm)
                        decode_set(d, fn);
                else
                        decode_invalid(d);
                return;
        }
        {
                /* bytes of the memory operand by opcode and reg; 0x80 = store; 0 = special or invalid */
                static const uint8_t sizes[8][8] = {
                        {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, 0x84, 0x84, 0, 0, 0, 0},
                        {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0x84, 0x84, 0x84, 0, 10, 0, 0x8a},
                        {8, 8, 8, 8, 8, 8, 8, 8}, {8, 0x88, 0x88, 0x88, 0, 0, 0, 0},
                        {2, 2, 2, 2, 2, 2, 2, 2}, {2, 0x82, 0x82, 0x82, 10, 8, 0x8a, 0x88},
                };
                uint8_t size = sizes[op - 0xd8][n];

                if (size) {
                        bytes[0] = op;
                        bytes[1] = (uint8_t) (n << 3 | 6); /* (%rsi) */
                        d->u->op = size & 0x7f;
                        d->u->imm =
                                (uint64_t) (uintptr_t) thunk_get(d->thunks, THUNK_PLAIN, bytes, 2);
                        if (d->u->imm)
                                decode_set(d, size & 0x80 ? op_x87_store : op_x87_load);
                        else
                                decode_invalid(d);
                } else if (op == 0xd9 && n == 4) {
                        decode_set(d, op_x87_fldenv);
                } else if (op == 0xd9 && n == 5) {
                        decode_set(d, op_x87_fldcw);
                } else if (op == 0xd9 && n == 6) {
                        decode_set(d, op_x87_fnstenv);
                } else if (op == 0xd9 && n == 7) {
                        decode_set(d, op_x87_fnstcw);
                } else if (op == 0xdd && n == 4) {
                        decode_set(d, op_x87_frstor);
                } else if (op == 0xdd && n == 6) {
                        decode_set(d, op_x87_fnsave);
                } else if (op == 0xdd && n == 7) {
                        decode_set(d, op_x87_fnstsw_m);
                } else {
                        decode_invalid(d);
                }
        }
}