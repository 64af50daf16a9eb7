/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* All elements of a processor's state together, for snapshots. */

#include "vmm/hv/state.h"
#include "vmm/snapshot/snapshot.h"

typedef struct VcpuStates {
        uint32_t present; /* a bit for each element, by its id */
#define VCPU_STATES_MEMBER(id, NAME, type, name) type name;
        VCPU_STATE_TABLE(VCPU_STATES_MEMBER)
#undef VCPU_STATES_MEMBER
} VcpuStates;

int vcpu_states_get(Vcpu *vcpu, VcpuStates *ret);
int vcpu_states_set(Vcpu *vcpu, const VcpuStates *states, const char **ret_name);
void vcpu_states_snapshot(VcpuStates *states, unsigned index, Snapshot *s);
