#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by what races boots: ours and QEMU's q35 and microvm machines take turns on the same kernel, initrd, memory and
# kind of accelerator. The caller sets: runner (bench_run), vmm, qemu (a command), guest (a folder).
# shellcheck disable=SC2154 # those
params="console=ttyS0 quiet panic=-1 cryptomgr.notests=1"
word="vivarium-guest: init reached"

boot_ours() { # HYPERVISOR
        "$runner" 60 "$word" "$vmm" run --hypervisor "$1" --mem 256 --cpus 1 --initrd "$guest/initrd.img" \
                --params "$params" --serial type=stdout,hardware=serial,num=1,console=true "$guest/vmlinuz"
}

boot_qemu() { # ACCELERATOR CPU MACHINE
        # shellcheck disable=SC2086 # $qemu may carry options of its own
        "$runner" 60 "$word" $qemu -accel "$1" -cpu "$2" -M "$3,memory-backend=ram" \
                -object memory-backend-memfd,id=ram,size=256M,share=on -m 256 -smp 1 -nodefaults -display none \
                -serial stdio -no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initrd.img" -append "$params"
}

median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }

# Lines `figure NAME UNIT OURS PEER-NAME PEER`; a peer that never got there has none.
race_boots() { # HYPERVISOR ACCELERATOR CPU ROUNDS DIRECTORY
        local machine theirs microvm=microvm
        # microvm keeps its interval timer only without ACPI, and Debian's kernel needs one where there is no kvmclock.
        [ "$2" = kvm ] || microvm=microvm,acpi=off
        for _ in $(seq "$4"); do
                boot_ours "$1" >>"$5/ours"
                boot_qemu "$2" "$3" q35 >>"$5/q35"
                boot_qemu "$2" "$3" $microvm >>"$5/microvm"
        done
        for machine in q35 microvm; do
                theirs=$(cut -d' ' -f1 "$5/$machine" | median)
                if [ -n "$theirs" ]; then
                        echo "figure boot.$1.$machine ms $(cut -d' ' -f1 "$5/ours" | median) qemu-$machine $theirs"
                else
                        echo "bench: qemu-$machine did not boot the kernel" >&2
                fi
        done
}
