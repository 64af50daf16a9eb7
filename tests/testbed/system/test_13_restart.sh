#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# VMs outlive the service: killed, restarted, stopped, upgraded, hung until the watchdog ends it, and in a storm of kills.
# testbed.kills=N on the kernel's command line (TESTBED_KILLS=N for make testbed) is the number of kills in the storm.
. "$(dirname "$0")/lib.sh"

kills=$(sed -n 's/.*testbed\.kills=\([0-9]*\).*/\1/p' /proc/cmdline)
kills=${kills:-10}
unit=vivariumd.service
mkdir -p /run/systemd/system/$unit.d
printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec=3s\n' >/run/systemd/system/$unit.d/test.conf
systemctl daemon-reload
systemctl start $unit

halted() { start_vm "$1" --kernel "$guest/tiny.elf" --mem 64 --params tiny=h:running; }
main_pid() { systemctl show -P MainPID $unit; }
# Until another process than this is the service
await_successor() {
        timeout 240 sh -c 'until p=$(systemctl show -P MainPID '$unit'); [ "$p" != 0 ] && [ "$p" != "$1" ] &&
                busctl --timeout=5 get-property '"$BUS $MANAGER $BUS.Manager"' Version >/dev/null; do :; done' await "$1"
}
alive() { same "the VM runs on, as the same process" "running $vmm" "$(vm_get "$1" State) $(vm_get "$1" Pid)"; }

check "a VM runs" halted outlives
check "its guest runs" await_text outlives.console running
vmm=$(vm_get outlives Pid)
scope=$(vm_get outlives Unit)
same "it is in a scope of its own in the slice" "active vivarium.slice" \
        "$(systemctl show -P ActiveState "$scope") $(systemctl show -P Slice "$scope")"
check "the scope's cgroup has the VMM" grep -qx "$vmm" "/sys/fs/cgroup/vivarium.slice/$scope/cgroup.procs"
check "the service's cgroup has the daemon alone" \
        sh -c "[ \"\$(cat /sys/fs/cgroup/system.slice/$unit/cgroup.procs)\" = $(main_pid) ]"
stored=$(systemctl show -P NFileDescriptorStore $unit)
check "systemd keeps descriptors for the service" test "$stored" -ge 3

daemon=$(main_pid)
kill -9 "$daemon"
check "the service is started again when it was killed" await_successor "$daemon"
alive outlives
same "systemd still keeps the same descriptors" "$stored" "$(systemctl show -P NFileDescriptorStore $unit)"

check "systemctl restart works" systemctl restart $unit
alive outlives
check "systemctl stop works" systemctl stop $unit
check "the VMM runs without a service" test -e "/proc/$vmm"
alive outlives

daemon=$(main_pid)
kill -STOP "$daemon"
check "the watchdog ends a service that hangs, and another one starts" await_successor "$daemon"
journalctl --sync
check "that is what the journal says" journalctl -q --no-pager -u $unit -g 'Watchdog timeout'
alive outlives

# An upgrade, as a package manager does it: other files under the same names, then a restart.
libexec=$(dirname "$(readlink "/proc/$(main_pid)/exe")")
for file in "$libexec/vivariumd" "$libexec/vivarium-launch" /usr/bin/vivarium-vmm; do
        cp "$file" "$file.new" && printf 'rebuilt' >>"$file.new" && mv "$file.new" "$file"
done
check "an upgraded service starts" systemctl restart $unit
check "it is the new one" sh -c "tail -c 7 /proc/$(main_pid)/exe | grep -q rebuilt"
alive outlives
check "the VMM is still the old one" sh -c "readlink /proc/$vmm/exe | grep -q deleted"
check "a VM of the new one runs beside it" halted upgraded
check "vivctl kill ends that one" vivctl kill upgraded
alive outlives

check "systemctl stop of the scope ends the VM" systemctl stop "$scope"
check "its end is seen" await_death outlives
same "the guest was shut down, and nobody crashed" SHUTDOWN "$(death outlives VM_DEATH_REASON)"

# The storm. Residents run through all of it; each worker makes VMs one after the other and brings each to an end of its own, whatever the service does.
# Its state; "none" if the service says that there is no such VM; nothing while there is no service to say so.
state_of() {
        local answer
        if answer=$(busctl --json=short call $BUS $MANAGER $BUS.Manager GetVm s "$1" 2>&1); then
                busctl --json=short get-property $BUS "$(jq -r '.data[0]' <<<"$answer")" $BUS.Vm State 2>/dev/null | jq -r .data
        elif grep -q 'no VM' <<<"$answer"; then
                echo none
        fi
}
bring_up() {
        local try
        for try in $(seq 300); do
                case $(state_of "$1") in
                running | dead | failed) return ;;
                not-started) vivctl start "$1" ;;
                none) vivctl run --detach --name "$1" --kernel "$guest/tiny.elf" --mem 64 --params "tiny=$2" ;;
                esac >>storm.log 2>&1
        done
        echo "$1 did not start in $try tries" >>storm.log
}
worker() {
        local n=0 vm
        while [ ! -e over ]; do
                n=$((n + 1))
                vm=storm-$1-$n
                case $(((n + $1) % 4)) in
                0) bring_up "$vm" h: && echo "$vm KILLED" && retry vivctl kill "$vm" ;;
                1) bring_up "$vm" h: && echo "$vm VMM_CRASH" && kill -9 "$(retry vm_pid "$vm")" ;;
                2) bring_up "$vm" t: && echo "$vm CRASH" ;;
                3) bring_up "$vm" h: && echo "$vm SHUTDOWN" && retry systemctl stop "$(retry vm_unit "$vm")" ;;
                esac
        done >"expected.$1"
}
cat >vm_get.sh <<INNER
set -o pipefail
path=\$(busctl --json=short call $BUS $MANAGER $BUS.Manager GetVm s "\$1") || exit
busctl --json=short get-property $BUS "\$(echo "\$path" | jq -r '.data[0]')" $BUS.Vm "\$2" | jq -er .data
INNER
vm_pid() { bash vm_get.sh "$1" Pid; }
vm_unit() { bash vm_get.sh "$1" Unit; }
retry() {
        local try
        for try in $(seq 100); do
                "$@" 2>>storm.log && return
        done
        echo "$* failed $try times" >>storm.log
}

await_service() {
        timeout 240 sh -c "until busctl --timeout=5 get-property $BUS $MANAGER $BUS.Manager Version >/dev/null 2>&1; do :; done"
}
holdings() { # what the service, whose probe of the hypervisors is over, and systemd hold when no VM is left
        busctl call $BUS $MANAGER $BUS.Manager GetCapabilities >&2
        echo "$(find "/proc/$(main_pid)/fd" -mindepth 1 | wc -l) descriptors, $(systemctl show -P NFileDescriptorStore $unit) stored," \
                "$(find /run/vivarium -mindepth 1 | wc -l) files, $(find /sys/fs/cgroup/vivarium.slice -type d | wc -l) cgroups"
}
residents=$((kills < 50 ? 4 : 16))
release_dead() { vivctl list --json=short | jq -r '.[].Name' | xargs -r vivctl release >&2; }
release_dead
systemctl restart $unit
await_service
before=$(holdings)
for i in $(seq $residents); do
        vivctl run --detach --name "resident-$i" --kernel "$guest/tiny.elf" --mem 64 --params tiny=h: >>storm.log
        echo "resident-$i $(vm_get "resident-$i" Pid)"
done >residents

for i in 1 2 3 4; do worker $i & done
for i in $(seq "$kills"); do
        sleep "0.$((RANDOM % 9))"
        # In the middle the watchdog has its turn; clients find a service that neither answers nor is gone.
        [ "$i" -ne $((kills / 2)) ] || await_service
        daemon=$(main_pid)
        [ "$daemon" != 0 ] || continue
        if [ "$i" -eq $((kills / 2)) ]; then
                kill -STOP "$daemon"
                check "the watchdog ends the service amid the storm" await_successor "$daemon"
        else
                kill -9 "$daemon" 2>/dev/null
        fi
done
: >over
wait
await_service
same "the residents run on, each as the same process" "$(cat residents)" \
        "$(for i in $(seq $residents); do echo "resident-$i $(vm_get "resident-$i" Pid)"; done)"
for i in $(seq $residents); do
        vivctl kill "resident-$i" && echo "resident-$i KILLED"
done >expected.residents
check "the service is there after the storm" busctl get-property $BUS $MANAGER $BUS.Manager Version
cat expected.* | sort >expected
echo "$(wc -l <expected) VMs, $kills kills" >&2
check "the storm had VMs" test -s expected
check "all of them have ended" timeout 240 sh -c 'while vivctl list --no-legend | grep -qE "^(storm|resident).* running"; do :; done'
busctl --json=short call $BUS $MANAGER $BUS.Manager GetHistory su "" 0 |
        jq -r '.data[0][] | .name.data + " " + .reason.data + " " + (.cid.data | tostring)' |
        grep -E '^(storm|resident)' | sort >history
check "each death is in the history once, and for its own reason" sh -c "cut -d' ' -f1,2 history | diff expected -"
journalctl --sync
check "in the journal too" sh -c "journalctl -q --no-pager -o json MESSAGE_ID=76c5f04ca91f4b6d851c77331adeb443 |
        jq -r '.VM + \" \" + .VM_DEATH_REASON' | grep -E '^(storm|resident)' | sort | uniq >told; diff expected told"
same "no two of them had one CID" "" "$(cut -d' ' -f3 history | sort | uniq -d)"
release_dead
comes_to "no process is left" "" pgrep -a 'vm-keeper|vivarium-vmm|vivarium-laun'
comes_to "no file is left" "" find /run/vivarium/vm /run/vivarium/state -mindepth 1
comes_to "no scope is left" "" systemctl list-units --all --no-legend 'vm-*.scope'
comes_to "no descriptor is left in the store" 0 systemctl show -P NFileDescriptorStore $unit
systemctl restart $unit
await_service
comes_to "a new service holds what one held before the storm" "$before" holdings
rm -r /run/systemd/system/$unit.d
systemctl daemon-reload
systemctl restart $unit
# Later tests count restarts.
systemctl reset-failed $unit
