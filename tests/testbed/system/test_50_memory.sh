#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a VM costs beyond the memory of its guest.
. "$(dirname "$0")/lib.sh"

# Until the service has seen what works here, the VMM chooses and nobody else knows.
busctl call $BUS $MANAGER $BUS.Manager GetCapabilities >&2
start_vm cost --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" --mem 256 --cpus 2 \
        --params "$stock_params vivarium.test=hang"
check "a stock guest reaches its init" await_text cost.console 'vivarium-guest: init reached'
pid=$(vm_get cost Pid)
same "it runs on KVM" kvm "$(vm_get cost Hypervisor)"
cat "/proc/$pid/smaps_rollup" >&2
grep -E 'Rss|Threads' "/proc/$pid/status" >&2
# Guest RAM is the one shared mapping: RssShmem. The rest is what the VMM itself takes, its program text included.
own=$(awk '/^VmRSS/ { all = $2 } /^RssShmem/ { guest = $2 } END { print all - guest }' "/proc/$pid/status")
at_most "the VMM's own memory in KiB is within its promise" 5120 "$own"
is_reported() { # with the next sample
        local reported
        reported=$(vm_get cost RssVmmBytes)
        echo "RssVmmBytes=$reported" >&2
        [ $((${reported:-0} / 1024)) -gt $((own / 2)) ] && [ $((${reported:-0} / 1024)) -lt $((own * 2)) ]
}
check "the service reports the same figure" eventually is_reported
check "vivctl kill ends the guest" vivctl kill cost
