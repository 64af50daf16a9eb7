/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/state.h"

/*
 * not-started ──▶ running ──▶ dead
 *      └────────▶ failed
 *
 * There is no way back: a VM object is used once. While its start is under way a VM still is not-started.
 */
static const bool allowed[VM_STATE_COUNT][VM_STATE_COUNT] = {
        [VM_NOT_STARTED] = {[VM_RUNNING] = true, [VM_FAILED] = true},
        [VM_RUNNING] = {[VM_DEAD] = true},
};

/** vm_state_may_become() - whether the machine has the edge @from → @to */
bool vm_state_may_become(VmState from, VmState to) {
        return allowed[from][to];
}

/** vm_state_is_final() - whether nothing can happen to a VM in @state any more */
bool vm_state_is_final(VmState state) {
        return state == VM_DEAD || state == VM_FAILED;
}

/** vm_state_to_string() - the name used on the bus */
const char *vm_state_to_string(VmState state) {
        static const char *const names[VM_STATE_COUNT] = {
                [VM_NOT_STARTED] = "not-started",
                [VM_RUNNING] = "running",
                [VM_DEAD] = "dead",
                [VM_FAILED] = "failed",
        };

        return names[state];
}

/** vm_payload_state_to_string() - the name used on the bus */
const char *vm_payload_state_to_string(VmPayloadState state) {
        static const char *const names[VM_PAYLOAD_STATE_COUNT] = {
                [VM_PAYLOAD_STARTING] = "starting", [VM_PAYLOAD_STARTED] = "started",
                [VM_PAYLOAD_READY] = "ready",       [VM_PAYLOAD_FINISHED] = "finished",
                [VM_PAYLOAD_HANGUP] = "hangup",
        };

        return names[state];
}
