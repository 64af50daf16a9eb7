#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real guest on the software processor under the real service: it finds in SMBIOS where to tell of its payload, and it is
# stopped by its power button.
set -u
export LC_ALL=C
work=$(mktemp -d)
export XDG_RUNTIME_DIR=$work
trap 'kill $(jobs -p) 2>"$work/kill.log"; wait; rm -rf "$work"' EXIT
passed=0 failed=0

# Marks that tests/run-unit.sh counts.
pass() { passed=$((passed + 1)) && echo "[       OK ] $1"; }
fail() { failed=$((failed + 1)) && echo "[  FAILED  ] ${1// /_}"; }
check() { if "${@:2}"; then pass "$1"; else fail "$1"; fi; }

if ! grep -q vsock_peer "$VIVARIUM_GUEST/initrd.cpio"; then
        echo "SKIP no stock guest in $VIVARIUM_GUEST: make guest"
        echo "[  SKIPPED ] test_stop: no stock guest"
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
"$VIVARIUM_BUILD/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --vmm="$VIVARIUM_BUILD/vivarium-vmm" \
        --launcher="$VIVARIUM_BUILD/vivarium-launch" 2>>"$work/log" &
vivctl() { "$VIVARIUM_BUILD/vivctl" --address="$address" "$@"; }
shows() { vivctl show a >"$work/show" 2>&1 && grep -q "$1" "$work/show"; }
until_shows() { # within a minute
        for _ in $(seq 300); do
                shows "$1" && return 0
                sleep 0.2
        done
        cat "$work/show" "$work/log" >&2
        return 1
}

for _ in $(seq 100); do
        vivctl list >"$work/list" 2>&1 && break
        sleep 0.1
done
vivctl run --detach --name a --hypervisor soft --mem 128 --boot-timeout 300 --kernel "$VIVARIUM_GUEST/vmlinuz" \
        --initrd "$VIVARIUM_GUEST/initrd.img" --params "console=ttyS0 vivarium.test=notify:X_VIVARIUM_STATE=ready,button:Power_Button,notify:EXIT_STATUS=4,poweroff"
check "the guest tells that its payload is ready" until_shows 'payload ready'
until_said() {
        for _ in $(seq 300); do
                grep -aq 'waiting for the Power' "$work/run/vm/2048/console" && return 0
                sleep 0.2
        done
        return 1
}
check "it waits for its button" until_said
check "it stands still" vivctl suspend a
check "and goes on" vivctl resume a
check "it is stopped" vivctl stop --timeout 60 a
check "its power button was enough" shows 'Stopped by: the guest.s power button'
check "its payload has finished" shows 'payload finished'
[ $failed -eq 0 ]
