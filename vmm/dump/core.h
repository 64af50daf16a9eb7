/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A machine as an ELF core file: its RAM by physical and, as far as the kernel of the first processor maps it, by virtual
 * addresses, and the registers of its processors in the notes that gdb and crash read.
 */

#include <stdatomic.h>

#include "vmm/hv/state.h"
#include "vmm/mem/guest_mem.h"

typedef struct DumpCpu {
        VcpuRegisters general;
        VcpuSystemRegisters system;
        uint64_t kernel_gs_base;
} DumpCpu;

int dump_write_core(int fd, const GuestMem *mem, const DumpCpu *cpus, unsigned n_cpus,
                    const _Atomic bool *cancel);
