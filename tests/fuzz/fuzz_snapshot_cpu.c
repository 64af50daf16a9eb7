/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A processor's state from a snapshot that somebody else wrote, on the software processor, which then runs for a moment
 * with it. Wrong is what the sanitizers say, a crash, or a run that a stop does not end.
 */

#include <stdlib.h>

#include "tests/fake/vmm_cpu_fuzz.h"
#include "vmm/hv/state_set.h"

#define TABLES 0x4000u
#define EXITS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All of memory at its own addresses, in one page, and instructions wherever one looks. */
static void fill_memory(FuzzedCpu *cpu) {
        static const uint8_t code[] = {0x48, 0xff, 0xc0, 0x0f, 0x28, 0xc1, 0xeb, 0xf8};

        fuzzed_cpu_put64(cpu, TABLES, (TABLES + 0x1000) | 7);
        fuzzed_cpu_put64(cpu, TABLES + 0x1000, (TABLES + 0x2000) | 7);
        fuzzed_cpu_put64(cpu, TABLES + 0x2000, 0x87);
        for (gpa_t at = 0x10000; at < 0x11000; at += sizeof(code))
                (void) guest_mem_write(cpu->mem, at, code, sizeof(code));
}

static bool restore(Vcpu *vcpu, const uint8_t *data, size_t size) {
        VcpuStates *states = calloc(1, sizeof(*states));
        const char *name;
        Snapshot s;
        bool good;

        if (!states)
                abort();
        snapshot_init_restoring(&s, data, size);
        vcpu_states_snapshot(states, 0, &s);
        good = snapshot_restored(&s) && vcpu_states_set(vcpu, states, &name) == 0;
        /* What was taken can be given again. */
        if (good && vcpu_states_get(vcpu, states) < 0)
                abort();
        snapshot_deinit(&s);
        free(states);
        return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        FuzzedCpu cpu;

        fuzzed_cpu_init(&cpu);
        fill_memory(&cpu);
        if (restore(cpu.vcpu, data, size))
                fuzzed_cpu_run(&cpu, EXITS_MAX);
        fuzzed_cpu_deinit(&cpu);
        return 0;
}
