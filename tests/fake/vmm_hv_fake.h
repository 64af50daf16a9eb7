/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A hypervisor whose processors are C functions: each vCPU runs the script that the test gave it, on its own thread,
 * with the same calls into the chipset that a real one makes. One machine at a time.
 */

#include <stdatomic.h>

#include "vmm/hv/hv.h"

#define HV_FAKE_VCPUS_MAX 8u

/* Runs as vCPU @index; what it returns ends run(). HALT_NONE: wait for the stop, as a halted processor would. */
typedef HaltReason (*HvFakeScript)(unsigned index, const CpuIo *io);

typedef struct HvFake {
        HvFakeScript script; /* NULL: every vCPU waits for the stop */
        int bind_error;      /* what binding vCPU @bind_error_index answers */
        unsigned bind_error_index;
        unsigned physical_bits;
        uint32_t cpuid_ebx; /* of every leaf, of which there is as good as none */

        /* What was seen. */
        atomic_uint n_bound, n_freed, n_runs, n_kicks;
        uint64_t time_nsec;      /* guest time, which moves only when it is set */
        unsigned n_time_changes; /* pause_time() calls that changed something */
        bool time_paused;
        VcpuRegisters registers[HV_FAKE_VCPUS_MAX];
        VcpuSystemRegisters system_registers[HV_FAKE_VCPUS_MAX];
        VcpuApic apic[HV_FAKE_VCPUS_MAX];
        VcpuMtrr mtrr[HV_FAKE_VCPUS_MAX];
} HvFake;

extern const HvOps hv_fake_ops;

void hv_fake_reset(void);
HvFake *hv_fake(void);
