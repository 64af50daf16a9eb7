/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a VM's processors belong together, and which of the host's they run on; a part of VmmConfig. */

#include <stdbool.h>

#include "config/cpu_set.h"

typedef struct VmmCpus {
        bool no_smt;               /* a core has one thread */
        unsigned threads_per_core; /* 0: crosvm's rule, see vmm_cpus_threads_per_core() */
        bool host_topology;        /* one vCPU for each processor that the VMM may run on */
        CpuSet *clusters;          /* owned; of vCPUs */
        unsigned n_clusters;
        CpuSet affinity;       /* the host's, for all vCPUs; empty: anywhere */
        CpuSet *vcpu_affinity; /* owned, VM_VCPUS_MAX, empty ones: anywhere; NULL: @affinity holds */
        CpuSet realtime;       /* vCPUs whose threads have a real-time policy */
        bool delay_realtime;   /* not before the control socket says so */
        bool core_scheduling; /* no vCPU shares a core of the host with a thread it does not trust */
        bool vm_core_scheduling; /* the same, but the VM's threads trust each other */
        char *cgroup_path;       /* owned, optional: where vCPU threads go */
} VmmCpus;

void vmm_cpus_deinit(VmmCpus *cpus);
unsigned vmm_cpus_threads_per_core(const VmmCpus *cpus, unsigned n_vcpus);
unsigned vmm_cpus_cluster_size(const VmmCpus *cpus);
int vmm_cpus_validate(const VmmCpus *cpus, unsigned n_vcpus, TextError *reterr);
