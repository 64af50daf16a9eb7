#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: cycles.sh BUILD-DIR GUEST-DIR CYCLES, as root
# VMs that are created, started, killed and released, SOAK_JOBS (4) at a time, each with all that a VM can have: a TAP interface in a
# network of the service, a socket directory for vsock, a shared folder that virtiofsd serves, console and log of the service.
# What the host and the daemon hold must be the same before and after. In namespaces of its own, so that all can be counted.
[ -n "${VIVARIUM_CYCLES:-}" ] ||
        VIVARIUM_CYCLES=1 exec unshare --net --pid --mount --fork --kill-child --mount-proc "$0" "$@"
cycles=$3
VIVARIUM_BUILD=$(realpath "$1") VIVARIUM_GUEST=$(realpath "$2")
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/../integration/lib.sh"
pass() { echo "ok $*"; }
fail() { failed=$((failed + 1)) && echo "not ok $*"; }

ip link set lo up
mkdir folder
printf '[Network default]\nIPv4=10.77.0.1/24\n' >netd.conf
printf '{"network": {}, "memory_mib": 32}\n' >vm.json
start_bus
"$build/vivarium-netd" --socket="$work/netd" --config="$work/netd.conf" --networkd-dir="$work/networkd" --linger=3600 2>>log &
netd=$!
listens() { [ -S netd ]; }
eventually listens
start_daemon --netd-socket="$work/netd" --log-level=warn

begin() {
        vivctl run --detach --name "cycle-$1" --hypervisor soft --boot-timeout 0 --kernel "$guest/tiny.elf" --params tiny=h: \
                --share "work:$work/folder" vm.json
}
end() { vivctl kill "cycle-$1" && vivctl release "cycle-$1"; }
jobs=${SOAK_JOBS:-4}
# Each of the jobs does as many, one after the other, and says so; the first that fails is the end of its job.
worker() { # NAME CYCLES
        local i
        for i in $(seq "$2"); do
                if ! { begin "$1" && end "$1"; } >>cycle.log 2>&1; then
                        echo "cycle $i of job $1 failed" >>cycle.log
                        return
                fi
                echo "$i"
        done
}
run_cycles() { # CYCLES: a line for each that was done
        local job
        for job in $(seq "$jobs"); do
                worker "$job" $(($1 / jobs + (job <= $1 % jobs))) &
        done
}
count() { wc -w | tr -d ' '; }
# All that a VM takes and a host could run out of; what lists the processes is one of them.
holds() {
        local process running
        mapfile -t running < <(find /proc -maxdepth 1 -name '[0-9]*')
        for process in "$daemon" "$netd"; do
                echo "descriptors $(find "/proc/$process/fd" -mindepth 1 | count), mounts $(wc -l <"/proc/$process/mountinfo")"
        done
        echo "interfaces $(ip -o link show | wc -l), processes ${#running[@]}"
        echo "files $(find run netd networkd folder ! -name 'history*' | count), directories of CIDs $(find run/vm -mindepth 1 | count)"
        echo "control groups $(find /sys/fs/cgroup -name '*vm-*' -type d 2>>log | count), System V objects $(ipcs -a | grep -c '^0x')"
}
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon/status"; }

has_all() {
        ip link show dev vm2048-0 >>cycle.log && grep -q '^server 0 ' run/vm/2048/keeper && [ -d run/vm/2048/vsock ] &&
                [ -s run/vm/2048/console ]
}
begin first >>cycle.log 2>&1
check "a VM has an interface, a process that serves its folder, sockets and a console" eventually has_all
end first >>cycle.log 2>&1
# What is made once and kept, of caches and of the network.
run_cycles 40 | cat >>cycle.log
# Twice the same, for what was killed takes a moment to go.
stands_still() { holds >before && sleep 1 && holds >after && cmp -s before after; }
eventually stands_still
kib=$(memory) done=0 began=$SECONDS
echo "# before: $(paste -sd, before | sed 's/,/, /g'); $kib KiB of memory"
while read -r _; do
        done=$((done + 1))
        [ $((done % 500)) -ne 0 ] || echo "# $done cycles in $((SECONDS - began)) s, $(memory) KiB of memory"
done < <(run_cycles "$cycles")
same "cycles: $cycles VMs with all that a VM can have were created, started, killed and released" "$cycles" "$done"
[ "$done" = "$cycles" ] || tail -n 20 cycle.log log
same_as_before() { holds >after && cmp -s before after; }
check "descriptors, mounts, interfaces, processes, files, CIDs and control groups are as before" eventually same_as_before
echo "# after: $(paste -sd, after | sed 's/,/, /g'); $(memory) KiB of memory"
grown=$(($(memory) - kib))
check "the daemon's memory is as before, give or take 256 KiB: $grown KiB" [ "$grown" -le 256 ]
[ $failed -eq 0 ]
