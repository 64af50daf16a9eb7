#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The figures that need a real /dev/kvm; runs in the testbed's host instead of the system tests. Ours and the peers take
# turns on the same kernel, initrd and accelerator. Lines `figure NAME UNIT OURS PEER-NAME PEER` go to the results port.
. /usr/lib/vivarium-testbed/lib.sh
bench=/usr/lib/vivarium-bench
only=$(sed -n 's/.*bench\.only=\([^ ]*\).*/\1/p' /proc/cmdline)
rounds=$(sed -n 's/.*bench\.rounds=\([^ ]*\).*/\1/p' /proc/cmdline)
stty -F /dev/ttyS1 raw 2>/dev/null
params="console=ttyS0 quiet panic=-1 cryptomgr.notests=1"
word="vivarium-guest: init reached"

ours() {
        $bench/bench_run 60 "$word" vivarium-vmm run --mem 256 --cpus 1 --initrd "$guest/initrd.img" --params "$params" \
                --serial type=stdout,hardware=serial,num=1,console=true "$guest/vmlinuz"
}
qemu() { # MACHINE
        LD_LIBRARY_PATH=$bench/lib $bench/bench_run 60 "$word" $bench/qemu-system-x86_64 -L $bench/share -accel kvm -cpu host \
                -M "$1,memory-backend=ram" -object memory-backend-memfd,id=ram,size=256M,share=on -m 256 -smp 1 \
                -nodefaults -display none -serial stdio -no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initrd.img" \
                -append "$params"
}
median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }
wanted() { case $1 in "$only"*) return 0 ;; *) return 1 ;; esac; }

if wanted boot || wanted vmm; then
        for round in $(seq "${rounds:-5}"); do
                ours >>ours
                qemu q35 >>q35
                qemu microvm >>microvm
        done
        mine=$(cut -d' ' -f1 ours | median)
        wanted boot && for machine in q35 microvm; do
                echo "figure boot.kvm.$machine ms ${mine:--} qemu-$machine $(cut -d' ' -f1 $machine | median)"
        done
        wanted vmm && echo "figure vmm.overhead.rss KiB $(cut -d' ' -f2 ours | median) qemu-q35 $(cut -d' ' -f2 q35 | median)"
fi
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
cp ours q35 microvm /run/vivarium-testbed/ 2>/dev/null
echo "1..0"
