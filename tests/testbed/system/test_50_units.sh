#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The unit tests of the KVM backend, where there is a KVM that runs kernels: its state, its dirty tracking, its debugger.
. "$(dirname "$0")/lib.sh"

# passed LOG TEST TIMES: so often, and not skipped
passed() {
        [ "$(grep -acE "^\\[ +OK \\] $2\$" "$1")" -eq "$3" ]
}

for unit in test_vcpu test_debugger; do
        LD_LIBRARY_PATH=$tests/unit timeout 400 "$tests/unit/$unit" >$unit.log 2>&1
        same "$unit passes" 0 $?
        cat $unit.log >&2
done
check "all state of a processor on KVM reads as it was set" passed test_vcpu.log \
        test_state_survives_set_and_get 1
# Once on the software processor, once on KVM.
check "KVM tells which pages were written" passed test_debugger.log \
        test_pages_that_a_processor_or_a_device_wrote_are_told_once 2
check "KVM stops after single steps" passed test_debugger.log \
        test_steps_are_single_instructions_until_the_debugger_goes 2
