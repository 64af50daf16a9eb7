#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests on the software processor under the real service, whose memory is kept when their kernel panics, and no longer than
# there is room.
set -u
export LC_ALL=C
work=$(mktemp -d)
export XDG_RUNTIME_DIR=$work
trap 'kill $(jobs -p) 2>"$work/kill.log"; wait; rm -rf "$work"' EXIT
failed=0

# Marks that tests/run-unit.sh counts.
pass() { echo "[       OK ] $1"; }
fail() { failed=$((failed + 1)) && echo "[  FAILED  ] ${1// /_}"; }
check() { if "${@:2}"; then pass "$1"; else fail "$1" && tail -n 5 "$work/log" >&2; fi; }

if [ ! -e "$VIVARIUM_GUEST/vmlinuz" ]; then
        echo "SKIP no stock guest in $VIVARIUM_GUEST: make guest"
        echo "[  SKIPPED ] test_ramdump_kept: no stock guest"
        exit 0
fi
cat >"$work/bus.conf" <<CONF
<busconfig>
  <type>session</type>
  <listen>unix:path=$work/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
CONF
address=unix:path=$work/bus
mkfifo "$work/ready"
dbus-daemon --config-file="$work/bus.conf" --nofork --nopidfile --print-address=3 3>"$work/ready" 2>"$work/log" &
read -r _ <"$work/ready"
mkdir "$work/state"
"$VIVARIUM_BUILD/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --state-dir="$work/state" --ramdumps=1 \
        --vmm="$VIVARIUM_BUILD/vivarium-vmm" --launcher="$VIVARIUM_BUILD/vivarium-launch" 2>>"$work/log" &
vivctl() { "$VIVARIUM_BUILD/vivctl" --address="$address" "$@"; }
for _ in $(seq 100); do
        vivctl list >"$work/list" 2>&1 && break
        sleep 0.1
done
run() { # NAME STEPS RAMDUMP
        cat >"$work/$1.json" <<CONFIG
{"kernel": "$VIVARIUM_GUEST/vmlinuz", "initrd": "$VIVARIUM_GUEST/initrd.img", "memory_mib": 128, "ramdump": $3,
 "params": "console=ttyS0 quiet panic=-1 cryptomgr.notests=1 vivarium.test=$2"}
CONFIG
        timeout 120 "$VIVARIUM_BUILD/vivctl" --address="$address" run --name "$1" --hypervisor soft --console "$work/$1.console" \
                "$work/$1.json" >"$work/$1.out" 2>&1
}
dump_of() { vivctl history --json=short | jq -r ".[] | select(.name == \"$1\") | .ramdump // \"\""; }
dumps() { find "$work/state/ramdumps" -type f | sort; }

run first module:pvpanic-mmio,crash true
first=$(dump_of first)
check "the record of a panic names the dump" test -n "$first"
check "it is an ELF core" grep -qa '^.ELF' "$first"
check "only root may read it" test "$(stat -c %a "$first")" = 600
check "vivctl shows where it is" grep -qF "$first" "$work/first.out"
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
vivctl run --detach --name third --hypervisor soft --console "$work/third.console" "$work/first.json" >"$work/third.out" 2>&1
for _ in $(seq 600); do
        vivctl list --no-legend 2>&1 | grep -q '^third.*dead' && break
        sleep 0.2
done
check "its owner gets it as a descriptor" grep -q '^h ' <(open_dump third)
rm "$(dump_of third)"
check "one that is gone is not" grep -q 'newer ones needed the room' <(open_dump third)
[ $failed -eq 0 ]
