/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One virtual machine, from its configuration to the reason of its end. The thread that makes a machine runs its
 * event loop: consoles, disks, timers. Each vCPU has a thread of its own.
 */

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/vmm_config.h"
#include "vmm/event/loop.h"
#include "vmm/hv/halt.h"
#include "vmm/hv/hv.h"

typedef struct Machine Machine;

int machine_choose_hypervisor(const VmmConfig *config, const HvOps **ret, TextError *reterr);
int machine_check_features(const VmmConfig *config, const HvOps *hv, TextError *reterr);
int machine_copy_host_topology(VmmConfig *config, TextError *reterr);
int machine_new(const VmmConfig *config, const HvOps *hv, Machine **ret, TextError *reterr);
Machine *machine_free(Machine *machine);
DEFINE_CLEANUP(Machine *, machine_free)

Loop *machine_loop(Machine *machine);
int machine_run(Machine *machine, HaltReason *ret, TextError *reterr);
void machine_halt(Machine *machine, HaltReason reason);
void machine_press_power_button(Machine *machine);

/* Pausing: the loop's thread alone. */
typedef void (*MachineVcpuFn)(Vcpu *vcpu, void *userdata);

void machine_pause(Machine *machine);
void machine_resume(Machine *machine);
int machine_on_vcpu(Machine *machine, unsigned index, MachineVcpuFn fn, void *userdata);
void machine_suspend(Machine *machine, bool devices);
int machine_unsuspend(Machine *machine, bool devices);

int machine_test_status(const Machine *machine);
int machine_exit_status(HaltReason reason, bool extended);
