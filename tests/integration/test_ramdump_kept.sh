#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests on the software processor under the real service, whose memory is kept when their kernel panics, and no longer than
# there is room.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 5 log >&2; }

need_guest
start_bus
mkdir state
start_daemon --state-dir="$work/state" --ramdumps=1
run() { # NAME STEPS RAMDUMP
        cat >"$1.json" <<CONFIG
{"kernel": "$guest/vmlinuz", "initrd": "$guest/initrd.img", "memory_mib": 128, "ramdump": $3,
 "params": "console=ttyS0 quiet panic=-1 cryptomgr.notests=1 vivarium.test=$2"}
CONFIG
        vivctl run --name "$1" --hypervisor soft --console "$1.console" \
                "$1.json" >"$1.out" 2>&1
}
dump_of() { vivctl history --json=short | jq -r ".[] | select(.name == \"$1\") | .ramdump // \"\""; }
dumps() { find "$work/state/ramdumps" -type f | sort; }

run first module:pvpanic-mmio,crash true
first=$(dump_of first)
check "the record of a panic names the dump" test -n "$first"
check "it is an ELF core" grep -qa '^.ELF' "$first"
check "only root may read it" test "$(stat -c %a "$first")" = 600
check "vivctl shows where it is" grep -qF "$first" first.out
run plain module:pvpanic-mmio,crash false
check "a VM that did not ask for one leaves none" test -z "$(dump_of plain)" -a "$(dumps)" = "$first"
run polite poweroff true
check "a VM that shuts down leaves none" test -z "$(dump_of polite)" -a "$(dumps)" = "$first"
run second module:pvpanic-mmio,crash true
second=$(dump_of second)
check "the newest goes before the oldest" test -n "$second" -a "$(dumps)" = "$second"
open_dump() { # NAME: what OpenRamdump() answers
        local path
        path=$(busctl --address="$address" --json=short call org.vivarium.vm1 /org/vivarium/vm1 org.vivarium.vm1.Manager GetVm s "$1" |
                jq -r '.data[0]')
        busctl --address="$address" call org.vivarium.vm1 "$path" org.vivarium.vm1.Vm OpenRamdump 2>&1
}
vivctl run --detach --name third --hypervisor soft --console third.console first.json >third.out 2>&1
third_is_dead() { vivctl list --no-legend 2>&1 | grep -q '^third.*dead'; }
eventually third_is_dead
check "its owner gets it as a descriptor" grep -q '^h ' <(open_dump third)
check "vivctl fetches it" vivctl ramdump third fetched
check "as it is" cmp fetched "$(dump_of third)"
check "and over no other file" refuses vivctl ramdump third fetched
rm "$(dump_of third)"
check "vivctl makes no file of one that is gone" refuses vivctl ramdump third gone
check "at all" test ! -e gone
check "one that is gone is not" grep -q 'newer ones needed the room' <(open_dump third)
vivctl run --detach --name live --hypervisor soft --mem 32 --kernel "$guest/tiny.elf" --params tiny=h: >live.out 2>&1
check "the memory of a guest that runs is written on demand" vivctl ramdump live now
check "as an ELF core" grep -qa '^.ELF' now
check "with all of it" test "$(stat -c %s now)" -ge $((32 << 20))
check "it runs on" vivctl kill live
[ $failed -eq 0 ]
