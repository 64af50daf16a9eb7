/* SPDX-License-Identifier: Apache-2.0 */
/* The three-byte opcode maps 0F38 and 0F3A (SDM volume 2 tables ). */
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/decode_internal.h"
#include "vmm/hv/soft/decode_vector.h"
#include "vmm/hv/soft/handlers.h"

/* What the host does not know is #UD here too, as its own would end us. */
static uint32_t feature_0f38(uint8_t op) {
        switch (op) {
        case 0x00 ... 0x0b:
        case 0x1c ... 0x1e:
                return HOST_SSSE3;
        case 0x37:
                return HOST_SSE42;
        case 0xdb ... 0xdf:
                return HOST_AES;
        default:
                return HOST_SSE41;
        }
}

static uint32_t feature_0f3a(uint8_t op) {
        switch (op) {
        case 0x0f:
                return HOST_SSSE3;
        case 0x44:
                return HOST_PCLMUL;
        case 0x60 ... 0x63:
                return HOST_SSE42;
        case 0xdf:
                return HOST_AES;
        default:
                return HOST_SSE41;
        }
}

void decode_map_0f38(Decoder *d) {
        static const uint8_t extend_sizes[6] = {3, 2, 1, 3, 2, 3};
        uint8_t op = decode_byte(d);

        decode_modrm(d);
        if (op == 0xf0 || op == 0xf1) {
                if (d->rep == 0xf2 && !thunk_host_has(d->thunks, HOST_SSE42)) {
                        decode_invalid(d);
                } else if (d->rep == 0xf2) { /* CRC32 */
                        d->u->size = (uint8_t) (op == 0xf0 ? 0 : d->osize);
                        d->u->reg = d->reg;
                        d->u->rm = decode_sized_reg(d, d->rm, d->u->size);
                        decode_choose(d, op_crc32_r, op_crc32_m);
                } else if (d->rep == 0xf3 || !thunk_host_has(d->thunks, HOST_MOVBE)) {
                        decode_invalid(d);
                } else {
                        decode_operands(d, d->osize);
                        decode_only_mem(d, op == 0xf0 ? movbe_rm[d->osize] : movbe_mr[d->osize]);
                }
                return;
        }
        if (op == 0x82) {
                d->u->reg = d->reg;
                d->u->size = decode_is64(d) ? 3 : 2;
                if (d->prefix == 1 && decode_is_mem(d))
                        decode_end(d, op_invpcid);
                else
                        decode_invalid(d);
                return;
        }
        if (!thunk_host_has(d->thunks, feature_0f38(op))) {
                decode_invalid(d);
                return;
        }
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        d->rex = 0;
        switch (op) {
        case 0x00 ... 0x0b:
        case 0x1c ... 0x1e:
                decode_sse_or_mmx(d, 2, op, -1);
                return;
        }
        if (d->prefix != 1) {
                decode_invalid(d);
                return;
        }
        switch (op) {
        case 0x10:
        case 0x14:
        case 0x15:
                d->u->size = 4;
                decode_choose(d, op_sse_blendv_rr, op_sse_blendv_rm);
                decode_thunk(d, THUNK_XMM_BLENDV, 2, op, 0x0e, -1); /* xmm1, (%rsi) */
                break;
        case 0x17:
                d->u->size = 4;
                decode_choose(d, op_sse_flags_rr, op_sse_flags_rm);
                decode_thunk(d, THUNK_XMM_FLAGS, 2, op, M_RSI, -1);
                break;
        case 0x20 ... 0x25:
        case 0x30 ... 0x35:
                decode_sse(d, 2, op, extend_sizes[op & 7], -1);
                break;
        case 0x2a:
                d->u->size = 4;
                decode_only_mem(d, op_movx_load_aligned);
                break;
        case 0x28:
        case 0x29:
        case 0x2b:
        case 0x37 ... 0x41:
                decode_sse(d, 2, op, 4, -1);
                break;
        case 0xdb ... 0xdf:
                decode_sse(d, 2, op, 4, -1);
                break;
        default:
                decode_invalid(d);
                break;
        }
}

void decode_map_0f3a(Decoder *d) {
        uint8_t op = decode_byte(d);
        int imm;

        decode_modrm(d);
        imm = decode_byte(d);
        if (!thunk_host_has(d->thunks, feature_0f3a(op))) {
                decode_invalid(d);
                return;
        }
        d->u->reg = d->reg;
        d->u->rm = d->rm;
        if (op == 0x0f && d->prefix < 2) {
                d->rex = 0;
                decode_sse_or_mmx(d, 3, op, imm);
                return;
        }
        if (d->prefix != 1) {
                decode_invalid(d);
                return;
        }
        switch (op) {
        case 0x14 ... 0x17:
                d->u->size = (uint8_t) (op == 0x14   ? 0
                                        : op == 0x15 ? 1
                                        : op == 0x17 ? 2
                                        : d->rex & 8 ? 3
                                                     : 2);
                decode_choose(d, op_sse_extract_r, op_sse_extract_m);
                decode_thunk(d, THUNK_XMM, 3, op, M_RSI, imm);
                break;
        case 0x20:
        case 0x22:
                d->u->size = (uint8_t) (op == 0x20 ? 0 : d->rex & 8 ? 3 : 2);
                decode_choose(d, op_sse_insert_r, op_sse_insert_m);
                decode_thunk(d, THUNK_XMM, 3, op, M_RSI, imm);
                break;
        case 0x21:
                d->rex = 0;
                if (decode_is_mem(d)) {
                        decode_sse(d, 3, op, 2, imm);
                } else {
                        /* The register form selects a source element, which the memory form cannot. */
                        d->u->op = (uint8_t) (imm >> 6 & 3);
                        decode_set(d, op_insertps_r);
                        decode_thunk(d, THUNK_XMM, 3, op, M_RSI, imm & 0x3f);
                }
                break;
        case 0x0a:
                d->rex = 0;
                decode_sse(d, 3, op, 2, imm);
                break;
        case 0x0b:
                d->rex = 0;
                decode_sse(d, 3, op, 3, imm);
                break;
        case 0x08:
        case 0x09:
        case 0x0c ... 0x0e:
        case 0x40 ... 0x42:
        case 0x44:
        case 0xdf:
                d->rex = 0;
                decode_sse(d, 3, op, 4, imm);
                break;
        case 0x60 ... 0x63:
                d->u->size = 4;
                d->u->op =
                        (uint8_t) (1 |
                                   (op == 0x60 || op == 0x62 ? 2 : 0)); /* unaligned is allowed */
                decode_choose(d, op_sse_string_rr, op_sse_string_rm);
                decode_thunk(d, THUNK_XMM_STRING, 3, op, 0x0e, imm);
                break;
        default:
                decode_invalid(d);
                break;
        }
}
