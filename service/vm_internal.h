/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of a VM, shared by the files of its life: vm.c, vm_start.c, vm_exit.c. */

#include "service/monitor/drain.h"
#include "service/monitor/process.h"
#include "service/vm.h"

/* Bytes kept of what the guest and the VMM say; Android's number for the failure text. */
#define FAILURE_BYTES_MAX 50000u
#define CONSOLE_TAIL_BYTES 4096u
#define STDERR_TAIL_BYTES 4096u
#define LAUNCH_ERROR_BYTES_MAX 4096u

typedef struct VmWaiter {
        VmDoneFn done; /* optional */
        void *userdata;
} VmWaiter;

typedef enum VmPhase {
        VM_PHASE_IDLE,
        VM_PHASE_LAUNCHING, /* the launcher runs and has not executed the VMM yet */
        VM_PHASE_EXECUTED,  /* the process is the VMM */
        VM_PHASE_ENDED,
} VmPhase;

struct Vm {
        VmInfo info;
        const VmEnv *env;  /* borrowed */
        VmRequest request; /* emptied when the VMM runs */
        VmPhase phase;
        char *dir;        /* owned; NULL once removed */
        Process *process; /* owned; launcher, then VMM */
        Drain *status;    /* owned; what the launcher says before it executes the VMM */
        Drain *failure, *console, *vmm_stderr; /* owned; console NULL if the client has it */
        sd_event_source *deadline;             /* owned; of the launch */
        sd_event_source *sampler;              /* owned */
        unsigned n_samples;                    /* taken since the start */
        char *start_error;                     /* owned; why the start failed */
        StopRequest stop;                      /* first one wins */
        bool kill_sent;
        uint64_t oom_count; /* when the VMM was started */
        VmWaiter start_waiter;
        VmWaiter *death_waiters; /* owned array */
        size_t n_death_waiters;
};

void vm_set_state(Vm *vm, VmState state);
void vm_answer_start(Vm *vm, int r, const char *message);
void vm_start_sampling(Vm *vm);
void vm_on_process_ended(void *userdata);
bool vm_launch_settle(Vm *vm);
void vm_end(Vm *vm, bool ran);
