#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Words to and from a guest, over the serial port and over virtio.
. "$(dirname "$0")/lib.sh"

echo_guest() { # NAME CONSOLE-DEVICE STEPS VIVCTL-OPTIONS...
        local name=$1 device=$2 steps=$3 run
        shift 3
        jq -n --arg name "$name" --arg device "$device" --arg guest "$guest" --arg steps "$steps" '{
                name: $name, kernel: ($guest + "/vmlinuz"), initrd: ($guest + "/initrd.img"), memory_mib: 256,
                params: ("console=" + $device + " quiet panic=-1 cryptomgr.notests=1 vivarium.test=" + $steps),
                console_input_device: $device}' >"$name.json"
        mkfifo "$name.in"
        exec 4<>"$name.in"
        run_vm "$name" "$name.json" --console-in "$name.in" "$@" &
        run=$!
        await_text "$name.console" 'vivarium-guest: reading' && echo "hello $name" >&4
        wait $run
        exec 4>&-
        sed "s/^/$name| /" "$name.console" >&2
        same "a guest whose console is $device powers off" SHUTDOWN "$(death "$name" VM_DEATH_REASON)"
        says "$name" "^heard hello $name" "what was typed arrives at $device"
}

echo_guest serial ttyS0 echo:heard,poweroff
echo_guest virtio hvc0 echo:heard,write:hvc2,poweroff --log log
check "what the guest writes to hvc2 is in the log file" grep -q '^written by the guest to hvc2' log
