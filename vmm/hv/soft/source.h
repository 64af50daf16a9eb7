/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Blocks that are compared with memory when they are entered. See source.c. */

#include "vmm/hv/soft/cpu.h"

void op_check_source(SoftCpu *c, const Uop *u);
const uint8_t *source_bytes(const Uop *u);
unsigned source_decode(SoftCpu *c, const uint8_t *code, unsigned avail, Block *b,
                       unsigned *ret_bytes);
void source_keep(Block *b);
