#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# What the guest of run.sh does with the functions it was given. `guest.sh ticks` reads and tells of it, without end;
# `guest.sh plug` waits for a disk that comes and goes, twice.
sum() { # MIB
        dd if=/dev/nvme0n1 bs=1M skip="$1" count=16 iflag=direct 2>/dev/null | md5sum
}
if [ "${1:-}" = plug ]; then
        for _ in 1 2; do
                until [ -b /dev/nvme0n1 ]; do sleep 0.1; done
                echo "plugged: $(sum 0)"
                while [ -e /sys/class/nvme/nvme0 ]; do sleep 0.1; done
                echo "unplugged: nvme0"
        done
        exit 0
fi
if [ "${1:-}" = ticks ]; then
        while :; do echo "tick: $(sum 0)"; done
fi
echo "read: $(sum 0)"
dd if=/dev/urandom of=/tmp/random bs=1M count=16 2>/dev/null
echo "written: $(md5sum </tmp/random)"
dd if=/tmp/random of=/dev/nvme0n1 bs=1M seek=16 oflag=direct 2>/dev/null || exit 1
sync
echo "again: $(sum 16)"
function=$(readlink -f /sys/block/nvme0n1/device/device)
echo 1 >"$function/reset" || exit 1
echo "reset: $(sum 0)"
modprobe virtio_net
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
echo "tcp: $(nc 10.0.2.100 1234 </dev/null | md5sum)"
echo "entropy: $(dd if=/dev/hwrng bs=64 count=4 2>/dev/null | wc -c)"
cut -c1-100 /proc/interrupts
