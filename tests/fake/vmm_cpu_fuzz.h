/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The software processor in a fuzz target: on memory of its own, with devices that answer anything, for so many accesses to
 * them, or as long as a thread beside lets it run.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "vmm/hv/hv.h"
#include "vmm/mem/guest_mem.h"

#define FUZZED_CPU_MEMORY (UINT64_C(2) << 20) /* bytes */

typedef struct FuzzedCpu {
        GuestMem *mem;        /* owned */
        Partition *partition; /* owned */
        Vcpu *vcpu;           /* owned, bound to this thread */
        atomic_bool stop;
        unsigned n_exits, exits_max, n_ticks;
} FuzzedCpu;

void fuzzed_cpu_init(FuzzedCpu *cpu);
void fuzzed_cpu_put64(FuzzedCpu *cpu, gpa_t gpa, uint64_t value);
void fuzzed_cpu_run(FuzzedCpu *cpu, unsigned exits_max);
void fuzzed_cpu_deinit(FuzzedCpu *cpu);
