#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by what races boots: ours and QEMU's q35 and microvm machines take turns on the same kernel, initrd, memory and
# kind of accelerator. The caller sets: runner (bench_run), vmm, qemu (a command), guest (a folder).
# shellcheck disable=SC2154 # those
params="console=ttyS0 quiet panic=-1 cryptomgr.notests=1"
word="vivarium-guest: init reached"

boot_ours() { # HYPERVISOR [PROCESSORS]
        "$runner" 60 "$word" "$vmm" run --hypervisor "$1" --mem 256 --cpus "${2:-1}" --initrd "$guest/initrd.img" \
                --params "$params" --serial type=stdout,hardware=serial,num=1,console=true "$guest/vmlinuz"
}

# all_devices HYPERVISOR DIRECTORY: a line as of boot_ours(), once the guest's drivers serve all kinds of devices
all_devices() {
        local steps=rng file
        mkdir -p "$2/folder" "$2/sockets"
        truncate -s 16M "$2/disk.img" "$2/scsi.img" "$2/pmem.img"
        for file in virtio_balloon virtio_net virtio_scsi sd_mod virtio_pmem nd_pmem vmw_vsock_virtio_transport virtiofs; do
                steps=$steps,module:$file
        done
        for file in vda sda pmem0; do steps=$steps,disk:$file,run:dd+if=/dev/$file+of=/dev/null+bs=64k; done
        steps=$steps,net:10.9.0.2/24,run:mount+-t+virtiofs+work+/mnt,run:dd+if=/dev/zero+of=/mnt/file+bs=64k+count=64
        # in a network namespace of its own, where the interface may have any name
        # shellcheck disable=SC2016 # the inner shell's
        unshare -n sh -c 'ip tuntap add dev tap0 mode tap vnet_hdr && ip link set tap0 up && exec "$@"' sh \
                "$runner" 120 'step run: ok dd+if=/dev/zero' "$vmm" run --hypervisor "$1" --mem 256 --cpus 1 \
                --initrd "$guest/initrd.img" --params "$params vivarium.test=$steps,run:sleep+1000" \
                --serial type=stdout,hardware=serial,num=1,console=true --serial type=sink,hardware=virtio-console,num=1 \
                --block "$2/disk.img" --scsi-block "$2/scsi.img" --pmem "$2/pmem.img" --net tap-name=tap0 \
                --vsock "cid=9,socket-dir=$2/sockets" --balloon-page-reporting --socket "$2/control" \
                --shared-dir "$(realpath "$2")/folder:work:type=fs" "$guest/vmlinuz"
}

# A line `figure NAME UNIT OURS - -` of the memory of all devices.
figure_devices() { # HYPERVISOR ROUNDS DIRECTORY
        for _ in $(seq "$2"); do
                all_devices "$1" "$3" >>"$3/devices"
        done
        echo "figure vmm.devices.rss.$1 KiB $(cut -d' ' -f2 "$3/devices" | median) - -"
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
