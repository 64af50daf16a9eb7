#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A console that is the service's: in the journal, for viewers, and under the next daemon.
. "$(dirname "$0")/lib.sh"
unit=vivariumd.service

lines() { journalctl -q --no-pager -o json -t "vivarium-$1" VM=attach; }
# Until the journal has a line of the guest's
await_line() { # STREAM PATTERN
        timeout 240 bash -c '
                until journalctl -q --no-pager -o cat -t "vivarium-$1" VM=attach | grep -q -E -- "$2"; do sleep 0.3; done' \
                await "$1" "$2"
}

check "a VM is started without a console of the client's" timeout 200 vivctl run --detach --name attach \
        --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" --mem 256 \
        --params "console=hvc0 quiet panic=-1 cryptomgr.notests=1 vivarium.test=write:hvc2,echo:first,echo:second,poweroff"
id=$(vm_get attach Id)
check "what its guest says is in the journal" await_line console 'attach: vivarium-guest: init reached'
same "with the fields of the VM, as the service's" "$id console $unit 6" \
        "$(lines console | tail -n 1 | jq -r '"\(.VM_ID) \(.VM_STREAM) \(._SYSTEMD_UNIT) \(.PRIORITY)"')"
check "so is what it writes to its log port" await_line log 'attach: written by the guest to hvc2'
same "which vivctl log prints" "written by the guest to hvc2" "$(vivctl log attach | tr -d '\r')"
same "the journal's own limit is off, for the service has its own" 0 "$(systemctl show -P LogRateLimitIntervalUSec $unit)"

check "the guest reads" await_line console 'vivarium-guest: reading'
: >before
echo one | timeout 300 vivctl console attach >before 2>&2 &
viewer=$!
check "a key that a viewer presses arrives" await_text before '^first one'
kill $viewer
wait $viewer

daemon=$(systemctl show -P MainPID $unit)
: >through
: >told
timeout 400 vivctl console attach </dev/null >through 2>told &
viewer=$!
check "a viewer is there" await_text through 'first one'
kill -9 "$daemon"
check "it goes on with the next daemon" await_text told 'runs on'
echo two | timeout 240 vivctl console attach >after
wait $viewer
same "the end of the VM is told with its reason in the exit status" 0 $?
same "and in words to who watches" 'vivctl: VM "attach" ended: SHUTDOWN' "$(tail -n 1 told)"
journalctl --sync
check "keys arrive under the next daemon" grep -q '^second two' after
same "nothing was shown twice" 1 "$(grep -c '^first one' through)"
same "nor told the journal twice" 1 "$(lines console | jq -r .MESSAGE | grep -c 'attach: first one')"
same "the last words are in the journal too" 1 "$(lines console | jq -r .MESSAGE | grep -c 'attach: second two')"
