#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# After many VMs the daemon is as it was; many more of them are in tests/integration/test_ends.sh.
. "$(dirname "$0")/lib.sh"

state() { echo "fds=$(ls "/proc/$pid/fd" | wc -l) vmm=$(pgrep -c vivarium-vmm) launch=$(pgrep -c vivarium-launch)"; }
list_files() { find /run/vivarium | sort; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }

for i in 1 2 3; do run_tiny "warm$i" t: ; done
pid=$(systemctl show -P MainPID vivariumd.service)
before=$(state) files=$(list_files) memory=$(rss)
ok=0
for i in $(seq 20); do
        start_vm "cycle$i" --kernel "$guest/tiny.elf" --mem 64 --params tiny=h: &&
                vivctl kill "cycle$i" && vivctl release "cycle$i" && ok=$((ok + 1))
done
same "20 VMs were created, started, killed and released" 20 $ok
comes_to "descriptors and processes are as before" "$before" state
comes_to "files are as before" "$files" list_files
at_most "memory in KiB did not grow" $((memory + 256)) "$(rss)"
