#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: demo.sh PROGRAM-DIR GUEST-DIR
# One VM, end to end: a private bus, the service on it, a stock Debian kernel booted through CreateVm and Start, its console
# shown and answered, its death record printed. It runs on KVM where KVM can run a guest, else on the software CPU.
# The last line is `demo: ok REASON BOOT-MS PEAK-VMM-RSS-KIB`; BOOT-MS is from Start to init's first line.
set -eu
programs=$(cd "$1" && pwd)
guest=$(cd "$2" && pwd)
work=$(mktemp -d)
export LC_ALL=C XDG_RUNTIME_DIR=$work

bus=
finish() {
        local status=$?
        # The service ends with its bus, and its VMs with it.
        [ -z "$bus" ] || kill "$bus"
        wait
        [ $status -eq 0 ] || cat "$work/log" >&2
        rm -rf "$work"
        exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '\n==> %s\n' "$*"; }
vivctl() { "$programs/vivctl" --address="$address" "$@"; }

say "a bus of our own, which starts vivariumd when it is called"
cat >"$work/bus.conf" <<CONF
<busconfig>
  <type>session</type>
  <listen>unix:path=$work/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>$work/services</servicedir>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
CONF
mkdir "$work/services"
cat >"$work/services/org.vivarium.vm1.service" <<SERVICE
[D-BUS Service]
Name=org.vivarium.vm1
Exec=$programs/vivariumd --bus-address=unix:path=$work/bus --runtime-dir=$work/run --vmm=$programs/vivarium-vmm --launcher=$programs/vivarium-launch
SERVICE
mkfifo "$work/ready" "$work/console" "$work/keys"
address=unix:path=$work/bus
dbus-daemon --config-file="$work/bus.conf" --nofork --nopidfile --print-address=3 3>"$work/ready" 2>"$work/log" &
bus=$!
read -r _ <"$work/ready"

say "vivctl capabilities"
vivctl capabilities

cat >"$work/demo.json" <<JSON
{
  "name": "demo",
  "kernel": "$guest/vmlinuz",
  "initrd": "$guest/initrd.img",
  "params": "console=ttyS0 panic=-1 cryptomgr.notests=1 vivarium.test=cpus,memory,echo:answer,poweroff",
  "cpus": 2,
  "memory_mib": 256,
  "console_input_device": "ttyS0"
}
JSON
say "vivctl check-config demo.json"
vivctl check-config "$work/demo.json"

say "vivctl run demo.json"
{
        status=0
        vivctl --json=short run --console="$work/console" --console-in="$work/keys" "$work/demo.json" \
                >"$work/record.json" || status=$?
        : <>"$work/console" # whoever waits for a console that never came sees its end
        exit $status
} &
run=$!
exec {keys}<>"$work/keys" # both ways, so that opening waits for nobody
boot_ms=
while IFS= read -r line; do
        now=${EPOCHREALTIME/./}
        line=${line%$'\r'}
        printf '%s\n' "$line"
        case $line in
        *"vivarium-guest: init reached"*)
                started=$(vivctl --json=short show demo | sed -n 's/.*"StartTimestamp":\([0-9]*\).*/\1/p')
                boot_ms=$(((now - started) / 1000))
                ;;
        *"vivarium-guest: reading"*) echo "hello from the host" >&"$keys" ;;
        esac
done <"$work/console"
exec {keys}>&-
status=0
wait "$run" || status=$?

field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/record.json"; }
reason=$(field DeathReason)
rss=$(field rss-peak-bytes)
printf '\n'
if [ $status -ne 0 ] || [ "$reason" != SHUTDOWN ] || [ -z "$boot_ms" ]; then
        echo "demo: failed: vivctl ended with $status, reason ${reason:-unknown}, boot ${boot_ms:-not seen}"
        exit 1
fi
echo "demo: ok $reason $boot_ms $((rss / 1024))"
