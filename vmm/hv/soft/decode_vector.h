/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How vector instructions become thunks; shared by the 0F, 0F38 and 0F3A maps. @imm is -1 for none. */

#include "vmm/hv/soft/decode_internal.h"

#define M_RSI 0x06 /* ModRM of a thunk: register 0, memory at (%rsi) */

void decode_thunk(Decoder *d, ThunkKind kind, unsigned map, uint8_t op, uint8_t m, int imm);
void decode_sse(Decoder *d, unsigned map, uint8_t op, unsigned size, int imm);
void decode_mmx(Decoder *d, unsigned map, uint8_t op, int imm);
void decode_sse_or_mmx(Decoder *d, unsigned map, uint8_t op, int imm);
