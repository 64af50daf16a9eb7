#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: pressure.sh BUILD-DIR GUEST-DIR, as root
# A host that is short of memory in truth: readers of a file that is larger than their control group may keep in memory wait for it again
# and again, the kernel tells the daemon, and the guest of a VM that follows gives up memory; when they are gone it has it back.
VIVARIUM_BUILD=$(realpath "$1") VIVARIUM_GUEST=$(realpath "$2")
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/../integration/lib.sh"
pass() { echo "ok pressure: $*"; }
fail() { failed=$((failed + 1)) && echo "not ok pressure: $*"; }
skip_all() {
        echo "skip pressure: $1"
        exit 0
}

limit_mib=16 file_mib=128
parent=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
if [ -d /run/systemd/system ]; then
        limited() { exec systemd-run --quiet --scope --property=MemoryMax="${limit_mib}M" --property=MemorySwapMax=0 "$@"; }
elif mkdir "$parent/vivarium-soak-$$"; then
        group=$parent/vivarium-soak-$$
        trap 'kill $(jobs -p) 2>"$work/kill.log"; wait; rm -rf "$work"; eventually rmdir "$group" 2>/dev/null' EXIT
        echo $((limit_mib << 20)) >"$group/memory.limit_in_bytes"
        limited() { exec bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@"; }
else
        skip_all "no control group of ours"
fi
[ -w /proc/pressure/memory ] || skip_all "this kernel does not account for pressure"
# So that none of it is in memory on another group's account.
dd if=/dev/urandom of=large bs=1M count=$file_mib oflag=direct status=none || skip_all "no file that passes the cache by"

start_bus
# The kernel's averages are 2 s old at times.
start_daemon --trim-interval=3
echo '{"auto_memory_balloon": true}' >a.json
vivctl run --detach --name a --hypervisor soft --mem 256 --boot-timeout 0 --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
        --params "console=ttyS0 quiet vivarium.test=module:virtio_balloon,hang" a.json >>log 2>&1
has_driver() { grep -aq 'step module: ok virtio_balloon' run/vm/2048/console; }
eventually has_driver
# The guest gave up at least MIN and at most MAX MiB.
given() { vivctl balloon a >answer 2>>log && read -r mib _ <answer && [ "$mib" -ge "$1" ] && [ "$mib" -le "$2" ]; }
same "nothing is asked of the guest while nobody waits" "0" "$(given 0 0; echo $?)"

total() { sed -n 's/^some .*total=//p' /proc/pressure/memory; }
before=$(total)
for _ in 1 2 3 4; do
        limited sh -c 'while :; do cat large >/dev/null; done' &
done
readers=$(jobs -p | tail -n 4)
check "the guest gives up memory when the host is short of it" eventually given 60 128
echo "# tasks waited $((($(total) - before) / 1000)) ms for memory until then; the guest gave up $mib MiB"
# shellcheck disable=SC2086 # several
kill $readers
check "and has it back when nobody waits any more" eventually given 0 0
check "the daemon says why" grep -q "the host's memory pressure rises" log
vivctl kill a >>log 2>&1
[ $failed -eq 0 ]
