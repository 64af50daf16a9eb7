#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/OPTIONS.md says what the program does, and options about processors and persistent memory do it, in a stock guest on the
# software processor.
set -u
export LC_ALL=C
vmm=$VIVARIUM_BUILD/vivarium-vmm guest=$VIVARIUM_GUEST
table=$(realpath "$(dirname "$0")/../../docs/OPTIONS.md")
work=$(mktemp -d)
cd "$work" || exit 1
trap 'kill $(jobs -p) 2>kill.log; wait; rm -rf "$work"' EXIT
failed=0

# Marks that tests/run-unit.sh counts.
pass() { echo "[       OK ] $1"; }
fail() { failed=$((failed + 1)) && echo "[  FAILED  ] ${1// /_}"; }
check() { # SENTENCE COMMAND...
        local sentence=$1
        shift
        if "$@"; then pass "$sentence"; else fail "$sentence"; fi
}

# ---- the table and the program ----
# shellcheck disable=SC2016 # the quotes of the document
section() { sed -n "/^## $1/,/^## [^$2]/p" "$table" | sed -n 's/^| `--\([a-z0-9-]*\)` .*/\1/p' | sort; }
section Honoured H >honoured
section Refused R >refused
# shellcheck disable=SC2094 # the word is no file
"$vmm" --help | sed -n 's/^  \(-.,\|   \) --\([a-z0-9-]*\) .*/\2/p' | grep -vx -e help -e version | sort -u >help
check "every honoured option of the table is in --help, and the other way round" cmp honoured help
check "no option of the table is in it twice" test -z "$(sort honoured refused | uniq -d)"
check "the table has all options of the contract" test "$(cat honoured refused | wc -l)" -gt 160
while read -r option; do
        "$vmm" run "--$option" k >refusal 2>&1
        [ $? -eq 35 ] && grep -q -e "--$option: crosvm option, not supported" refusal || echo "$option"
done <refused >not_refused
check "each refused option ends the VMM with 35 and its name" test ! -s not_refused
cat not_refused

# ---- in a guest ----
if [ ! -e "$guest/initrd.img" ]; then
        echo "[  SKIPPED ] test_options: no stock guest in $guest: make guest"
        exit $((failed > 0))
fi
boot() { # CONSOLE STEPS ARGUMENTS...
        local console=$1 steps=$2
        shift 2
        timeout 120 "$vmm" --extended-status run --hypervisor soft --mem 256 --initrd "$guest/initrd.img" \
                --serial "type=file,path=$console,hardware=serial,num=1,console=true" \
                --params "quiet panic=-1 vivarium.test=$steps" "$@" "$guest/vmlinuz" </dev/null 2>>vmm.log
}
topology=/sys/devices/system/cpu/cpu0/topology
look=run:grep+-H+.+$topology/thread_siblings_list+$topology/cluster_cpus_list,run:nproc,poweroff
boot smt $look --cpus 4 && boot flat $look --cpus 4,clusters=[[0,1],[2,3]] --no-smt
check "an even number of processors has two threads a core" grep -q 'thread_siblings_list:0-1' smt
check "with --no-smt a core has one" grep -q 'thread_siblings_list:0.\?$' flat
check "the guest sees the clusters" grep -q 'cluster_cpus_list:0-1' flat
boot host $look --host-cpu-topology
check "--host-cpu-topology has a processor for each of the host's" grep -q "^$(nproc).\?\$" host

first=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
boot placed hang --cpus 2 --cpu-affinity "0=$first" &
for _ in $(seq 300); do
        grep -q "init reached" placed 2>grep.log && break
        sleep 0.1
done
for thread in /proc/[0-9]*/task/*; do
        [ "$(cat "$thread/comm" 2>cat.log)" = vcpu0 ] &&
                grep -qz -e "$work" -e placed "${thread%/task/*}/cmdline" && grep Cpus_allowed_list "$thread/status"
done >allowed
check "vCPU 0 runs where --cpu-affinity says" grep -q ":[[:space:]]$first\$" allowed
kill %1
wait

refuses() { # NAME ARGUMENTS...
        local name=$1
        shift
        : >vmm.log
        boot refused_console poweroff "$@"
        [ $? -eq 1 ] && grep -q -e "$name: " vmm.log
}
works_or_refuses() { # NAME ARGUMENTS...: hosts differ in what they can
        boot refused_console poweroff "${@:2}" || refuses "$@"
}
check "--vcpu-cgroup-path names a directory that is no group" refuses "--vcpu-cgroup-path: $work" --vcpu-cgroup-path "$work"
for option in "--core-scheduling true" "--per-vm-core-scheduling" "--rt-cpus 0"; do
        # shellcheck disable=SC2086 # an option and its value
        check "$option works, or is an error that names it" works_or_refuses "${option%% *}" $option
done

if command -v mkfs.ext4 >/dev/null && command -v debugfs >/dev/null; then
        truncate -s 32M rw.img
        mkfs.ext4 -q -b 4096 -F rw.img
        cp rw.img ro.img
        cp rw.img before.img
        steps=module:virtio_pmem,module:nd_pmem,run:mount+-t+ext4+-o+dax+/dev/pmem0+/mnt,run:cp+/bin/busybox+/mnt/busybox
        steps=$steps,run:/mnt/busybox+sync,run:cp+/mnt/busybox+/tmp/copy,run:cmp+/tmp/copy+/bin/busybox
        boot pmem "$steps,run:dd+if=/dev/urandom+of=/dev/pmem1+bs=4096+count=64+conv=fsync,run:umount+/mnt,poweroff" \
                --pmem rw.img --pmem-device ro.img
        check "a guest with persistent memory powers off" test $? -eq 0
        check "no step of it failed" test "$(grep -c 'step .*: ok' pmem)" -eq 9
        grep 'step .*: failed' pmem
        debugfs -R "dump busybox from_guest" rw.img 2>debugfs.log
        check "what the guest wrote is in the host's file" grep -q BusyBox from_guest
        check "a read-only file is as it was" cmp ro.img before.img
        truncate -s 33M odd.img
        check "a writable file of odd size is refused by name" refuses "--pmem: odd.img" --pmem odd.img
else
        echo "[  SKIPPED ] test_options: no e2fsprogs"
fi
[ $failed -eq 0 ]
