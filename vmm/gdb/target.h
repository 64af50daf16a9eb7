/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the stub needs of the machine that is debugged. Everything is called on the loop's thread. */

#include "vmm/gdb/registers.h"
#include "vmm/hv/hv.h"

#define GDB_SOFT_BREAKS_MAX 256u

/* What each vCPU shall do when the machine goes on. */
typedef enum GdbAction {
        GDB_HOLD, /* stay where it is */
        GDB_CONTINUE,
        GDB_STEP,
} GdbAction;

/* Why the machine stopped. */
typedef struct GdbStop {
        unsigned vcpu;
        bool debug;          /* @cause says why; else somebody asked */
        VcpuDebugStop cause; /* .which counts the hardware breaks of GdbPlan */
} GdbStop;

/* How the machine goes on. */
typedef struct GdbPlan {
        GdbAction actions[HV_VCPUS_MAX];
        bool catch_breakpoints; /* there are INT3s of the debugger */
        unsigned n_breaks;
        VcpuBreak breaks[VCPU_BREAKS_MAX];
} GdbPlan;

typedef struct GdbTargetOps {
        unsigned (*count_vcpus)(void *target);
        /* The machine is stopped for all of these. Return: 0 or negative errno. */
        int (*read_registers)(void *target, unsigned vcpu, GdbRegisters *ret);
        int (*write_registers)(void *target, unsigned vcpu, const GdbRegisters *registers);
        /* By the page tables of @vcpu. Return: bytes done, fewer than @len where something is not there; or -EFAULT. */
        ssize_t (*read_memory)(void *target, unsigned vcpu, uint64_t gva, void *data, size_t len);
        ssize_t (*write_memory)(void *target, unsigned vcpu, uint64_t gva, const void *data,
                                size_t len);
        /* gdb_stub_stopped() is called when the machine has stopped by itself. */
        int (*go_on)(void *target, const GdbPlan *plan);
        void (*stop)(void *target); /* returns when it has stopped */
        /* No debugger any more: the guest goes on by itself. */
        void (*detach)(void *target);
        void (*kill)(void *target); /* ends the machine */
} GdbTargetOps;
