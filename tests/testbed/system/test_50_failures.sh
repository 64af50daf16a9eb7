#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest says on ttyS1 goes before how its VMM ended.
. "$(dirname "$0")/lib.sh"

names="PVM_FIRMWARE_PUBLIC_KEY_MISMATCH PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED
       MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE MICRODROID_PAYLOAD_HAS_CHANGED
       MICRODROID_PAYLOAD_VERIFICATION_FAILED MICRODROID_INVALID_PAYLOAD_CONFIG MICRODROID_UNKNOWN_RUNTIME_ERROR"
for name in $names; do
        run_tiny "$name" "t:$name"
        expect_death "a guest that says $name ends with it" "$name" "$name"
        same "the record has the text" "$name" "$(death "$name" VM_FAILURE_TEXT)"
done
run_tiny detail "t:MICRODROID_PAYLOAD_HAS_CHANGED|apk,index=2"
expect_death "what follows | does not hide the name" detail MICRODROID_PAYLOAD_HAS_CHANGED
same "what follows | is kept as the detail" "apk,index=2" "$(death detail VM_FAILURE_INFO)"
run_tiny unknown "t:NOT_A_REASON"
expect_death "a text that is no reason leaves the exit status to speak" unknown CRASH 33
run_tiny silent "t:"
expect_death "a guest that triple-faults at once ends with CRASH" silent CRASH 33
run_tiny reset "r:"
expect_death "a guest that pulses the reset line ends with REBOOT" reset REBOOT 32

run_guest stock tell:MICRODROID_INVALID_PAYLOAD_CONFIG,poweroff
expect_death "a stock guest's driver for ttyS1 reaches us too" stock MICRODROID_INVALID_PAYLOAD_CONFIG

# Under nested virtualization each byte is an exit of two processors; 1 MiB is left to tests/integration/test_ends.sh.
run_guest garbage garbage,poweroff
expect_death "a stock guest that writes more than is kept powers off" garbage SHUTDOWN 0
says garbage '^step garbage: ok' "the guest could write all of it"
same "what was dropped was counted" 65536 "$(death garbage VM_FAILURE_BYTES)"
