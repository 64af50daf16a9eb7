#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The limits of a VM's config, on real cgroups: what its scope is given, what a guest that outgrows them comes to, and what a
# host that cannot enforce them says.
. "$(dirname "$0")/lib.sh"

config() { # STEPS LIMITS
        cat <<-INNER
		{"kernel": "$guest/vmlinuz", "initrd": "$guest/initrd.img", "memory_mib": 512,
		 "params": "$stock_params vivarium.test=$1", "limits": {$2}}
	INNER
}
halted() { # LIMITS
        echo "{\"kernel\": \"$guest/tiny.elf\", \"memory_mib\": 64, \"params\": \"tiny=h:running\", \"limits\": {$1}}"
}
in_cgroup() { cat "/sys/fs/cgroup/vivarium.slice/$scope/$1"; }

halted '"memory_max_mib": 700, "memory_high_mib": 600, "cpu_weight": 50, "cpu_quota_percent": 150, "io_weight": 20,
        "tasks_max": 40' >held.json
check "a VM with every limit starts" start_vm held held.json
scope=$(vm_get held Unit)
same "systemd knows its limits" \
        "MemoryMax=734003200 MemoryHigh=629145600 CPUWeight=50 CPUQuotaPerSecUSec=1.500000s IOWeight=20 TasksMax=40" \
        "$(for p in MemoryMax MemoryHigh CPUWeight CPUQuotaPerSecUSec IOWeight TasksMax; do
                systemctl show -p $p "$scope"; done | paste -sd' ')"
same "so does the kernel" "734003200 629145600 50 150000-100000 40" \
        "$(in_cgroup memory.max) $(in_cgroup memory.high) $(in_cgroup cpu.weight) $(in_cgroup cpu.max | tr ' ' -) $(in_cgroup pids.max)"
check "vivctl kill ends it" vivctl kill held
comes_to "its scope is gone" inactive systemctl is-active "$scope"

# The initramfs is memory: the file grows until the kernel on the host has no more to give to this scope.
config run:dd+if=/dev/zero+of=/big+bs=1M+count=400,poweroff '"memory_max_mib": 160' >grown.json
start_vm bystander --kernel "$guest/tiny.elf" --mem 64 --params tiny=h:running
run_vm grown grown.json
expect_death "a guest that outgrows memory_max_mib ends as out of memory" grown OUT_OF_MEMORY
same "by the signal of the kernel" 9 "$(death grown VM_EXIT_SIGNAL)"
same "nobody asked for it" "" "$(death grown VM_STOP_REQUESTED_BY)"
same "no other VM is touched" running "$(vm_get bystander State)"
check "the service is well" systemctl is-active vivariumd.service
run_vm fitting <(config memory,poweroff '"memory_max_mib": 900')
expect_death "the same guest within its limit shuts down" fitting SHUTDOWN
start_vm killed --kernel "$guest/tiny.elf" --mem 64 --params tiny=h:running
kill -9 "$(vm_get killed Pid)"
await_death killed
same "a SIGKILL from elsewhere is not taken for want of memory" VMM_CRASH "$(death killed VM_DEATH_REASON)"

# A limit is set before the guest runs, by whichever daemon: this one is killed between the calls.
halted '"memory_max_mib": 700' >later.json
check "a VM is made" vivctl create --name later later.json
kill -9 "$(systemctl show -P MainPID vivariumd.service)"
timeout 240 sh -c "until vivctl list >/dev/null 2>&1; do :; done"
check "the next service starts it" vivctl start later
same "within its limit" 734003200 "$(systemctl show -P MemoryMax "$(vm_get later Unit)")"
check "vivctl kill ends that one" vivctl kill later

for bad in '"memory_max_mib": 31' '"io_weight": 0' '"tasks_max": "many"' '"memory_high_mib": 100, "memory_max_mib": 99'; do
        halted "$bad" >bad.json
        check "refused: {$bad}" sh -c '! vivctl check-config bad.json 2>bad.log && grep -q limits bad.log'
done
check "the other VM ends" vivctl kill bystander
vivctl list --json=short | jq -r '.[].Name' | xargs -r vivctl release >&2
systemctl reset-failed vivariumd.service
