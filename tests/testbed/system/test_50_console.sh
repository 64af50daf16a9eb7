#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Words to and from a guest, over the serial port and over virtio.
. "$(dirname "$0")/lib.sh"

echo_guest() { # NAME CONSOLE-DEVICE CONFIG-OPTIONS...
        local name=$1 device=$2
        shift 2
        mkfifo "$name.in"
        exec 4<>"$name.in"
        {
                await_text "$name.console" 'vivarium-guest: reading' 120
                echo "hello $name" >&4
        } &
        stock_params="console=$device quiet panic=-1 cryptomgr.notests=1"
        run_guest "$name" echo:heard,poweroff --console-in "$name.in" "$@"
        wait
        exec 4>&-
}

echo_guest serial ttyS0
expect_death "a guest that reads the serial console powers off" serial SHUTDOWN 0
says serial '^heard hello serial' "what was typed arrives at ttyS0"
