#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real service on a host whose VMM is a crosvm: a recorder in its place, which writes down its command line and stops.
set -u
export LC_ALL=C
work=$(mktemp -d)
export XDG_RUNTIME_DIR=$work
trap 'kill $(jobs -p) 2>"$work/kill.log"; wait; rm -rf "$work"' EXIT
passed=0 failed=0

# Marks that tests/run-unit.sh counts.
pass() { passed=$((passed + 1)) && echo "[       OK ] $1"; }
fail() { failed=$((failed + 1)) && echo "[  FAILED  ] ${1// /_}" && cat "$work/line" "$work/out" "$work/log"; }
check() { if "${@:2}"; then pass "$1"; else fail "$1"; fi; }

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
cat >"$work/crosvm" <<RECORDER
#!/bin/sh
printf '%s ' "\$@" >$work/line
RECORDER
chmod 755 "$work/crosvm"
echo kernel >"$work/kernel"

vivctl() { timeout 30 "$VIVARIUM_BUILD/vivctl" --address="$address" "$@" >"$work/out" 2>&1; }
serve() { # OPTIONS...
        "$VIVARIUM_BUILD/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --vmm="$work/crosvm" \
                --launcher="$VIVARIUM_BUILD/vivarium-launch" "$@" 2>>"$work/log" &
        daemon=$!
        for _ in $(seq 100); do
                vivctl list && return
                sleep 0.1
        done
}
stop_serving() { kill $daemon && wait $daemon; }
said() { grep -q -e "$1" "$work/out"; }
recorded() { grep -q -e "$1" "$work/line"; }
silent() { ! recorded "$1"; }

serve
: >"$work/line"
check "a VM runs to its end" vivctl run --name a --kernel "$work/kernel"
check "with a control socket and sockets of the host's kernel" recorded '--socket /proc/self/fd/[0-9]* .*--vsock cid=[0-9]* '
check "and without our additions" silent 'socket-dir\|--hypervisor soft'
check "and without a sandbox that the unit forbids" recorded '--disable-sandbox '
vivctl run --name b --hypervisor soft --kernel "$work/kernel"
check "the software processor is refused, and why" said 'the VMM is a crosvm, which has no software processor'
check "the capabilities say so, too" vivctl capabilities
check "by hypervisor" said 'which has no software processor'
stop_serving

serve --vmm-dialect=crosvm-2023
: >"$work/line"
check "an older crosvm runs as well" vivctl run --name a --kernel "$work/kernel"
check "with options of its time" recorded '--cid [0-9]* '
check "and no later ones" silent '--vsock\|--name'
stop_serving

"$VIVARIUM_BUILD/vivariumd" --vmm-dialect=qemu 2>"$work/out"
check "an unknown dialect is refused" said "expected vivarium, crosvm or crosvm-2023, not 'qemu'"
[ $failed -eq 0 ]
