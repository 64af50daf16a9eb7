/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The two state machines of a VM, as pure tables. */

#include <stdbool.h>

typedef enum VmState {
        VM_NOT_STARTED,
        VM_RUNNING,
        VM_DEAD,   /* ran and ended; final */
        VM_FAILED, /* never ran; final */
} VmState;
#define VM_STATE_COUNT (VM_FAILED + 1)

/* What the guest said of its payload, in order. */
typedef enum VmPayloadState {
        VM_PAYLOAD_STARTING,
        VM_PAYLOAD_STARTED,
        VM_PAYLOAD_READY,
        VM_PAYLOAD_FINISHED,
        VM_PAYLOAD_HANGUP,
} VmPayloadState;
#define VM_PAYLOAD_STATE_COUNT (VM_PAYLOAD_HANGUP + 1)

bool vm_state_may_become(VmState from, VmState to);
bool vm_state_is_final(VmState state);
const char *vm_state_to_string(VmState state);
const char *vm_payload_state_to_string(VmPayloadState state);
