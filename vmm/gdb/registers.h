/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The registers of an x86-64 processor in the order in which gdb numbers them, which is that of the target description:
 * 16 general ones, rip, eflags, six selectors, eight x87 registers and eight of its control registers, 16 SSE registers,
 * mxcsr, then the bases of fs and gs, and the control registers.
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/hv/state.h"

/* All that a debugger sees and changes of one processor. */
typedef struct GdbRegisters {
        VcpuRegisters general;
        VcpuSystemRegisters system;
        VcpuXsave xsave; /* its legacy part */
} GdbRegisters;

#define GDB_REGISTER_RIP 16u
#define GDB_REGISTER_FS_BASE 57u
#define GDB_REGISTER_GS_BASE 58u
#define GDB_REGISTERS_COUNT 64u
#define GDB_REGISTER_BYTES_MAX 16u
#define GDB_REGISTERS_BYTES 592u /* all of them in a row */

size_t gdb_register_size(unsigned number);
void gdb_register_read(const GdbRegisters *registers, unsigned number, uint8_t *ret);
int gdb_register_write(GdbRegisters *registers, unsigned number, const uint8_t *value);

extern const char gdb_target_xml[];
