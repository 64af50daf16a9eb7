#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The figures that need a real /dev/kvm; runs in the testbed's host instead of the system tests. Ours and the peers take
# turns on the same kernel, initrd and accelerator. Lines `figure NAME UNIT OURS PEER-NAME PEER` go to the results port.
. /usr/lib/vivarium-testbed/lib.sh
bench=/usr/lib/vivarium-bench
only=$(sed -n 's/.*bench\.only=\([^ ]*\).*/\1/p' /proc/cmdline)
rounds=$(sed -n 's/.*bench\.rounds=\([^ ]*\).*/\1/p' /proc/cmdline)
stty -F /dev/ttyS1 raw 2>/dev/null
runner=$bench/bench_run vmm=vivarium-vmm
qemu="env LD_LIBRARY_PATH=$bench/lib $bench/qemu-system-x86_64 -L $bench/share"
. $bench/boots.sh
mkdir -p /run/vivarium-bench
wanted() { # whether ONLY begins the name, or names one of its kind
        case $1 in "$only"*) return 0 ;; esac
        case $only in "$1"*) return 0 ;; *) return 1 ;; esac
}

if wanted boot || wanted vmm.overhead; then
        race_boots kvm kvm host "${rounds:-5}" /run/vivarium-bench
        wanted vmm.overhead && echo "figure vmm.overhead.rss KiB $(cut -d' ' -f2 /run/vivarium-bench/ours | median)" \
                "qemu-q35 $(cut -d' ' -f2 /run/vivarium-bench/q35 | median)"
fi
if wanted vmm.devices; then
        modprobe tun
        figure_devices kvm 1 "$(mktemp -d -p /dev/shm)"
fi
. $bench/io.sh
. $bench/snapshots.sh
race() { # FUNCTION PREFIX
        local work
        work=$(mktemp -d -p /dev/shm)
        "$@" kvm kvm host "${rounds:-3}" "$work"
        rm -rf "$work"
}
if wanted blk.rand || wanted blk.seqread; then
        suite=$bench/disk_suite.cpio
        race race_disks blk
fi
if wanted net.tcp || wanted net.rr; then
        modprobe tun
        race race_cards net
fi
if wanted vsock; then
        modprobe vhost_vsock
        race race_sockets vsock
fi
if wanted snapshot; then race race_snapshots snapshot; fi
if wanted cycle; then
        n=30
        start=$(date +%s%N)
        for i in $(seq $n); do
                vivctl run --detach --name "cycle$i" --kernel "$guest/tiny.elf" --mem 64 --params tiny=h: >&2 &&
                        vivctl kill "cycle$i" >&2 && vivctl release "cycle$i" >&2
        done
        end=$(date +%s%N)
        echo "figure cycle.rate 1/s $(awk -v n=$n -v t=$((end - start)) 'BEGIN { printf "%.2f", n * 1e9 / t }') - -"
fi
echo "1..0"
