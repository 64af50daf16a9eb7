#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh BUILD-DIR GUEST-DIR WORK-DIR
# Functions of a host that a guest drives itself (--vfio): the host is a busybox on the stock kernel, in QEMU with nested SVM and
# an Intel IOMMU, and its devices are those that QEMU emulates behind that. host.sh is what the host does, guest.sh what the
# guest does. SOAK_VFIO has the parts to run, all if it is not set: kvm, soft, hotplug-kvm, hotplug-soft, busy. A line `ok NAME` or `not ok NAME` each; the host's console is WORK-DIR/console.
set -eu
here=$(realpath "$(dirname "$0")") build=$(realpath "$1") guest=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
# shellcheck source=tests/guest/initramfs.sh
. "$here/../../guest/initramfs.sh"

libraries() { # PROGRAM TREE
        ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
                mkdir -p "$2$(dirname "$library")"
                cp -L "$library" "$2$library"
        done
}

# What goes over the card; and a script, since QEMU's option takes a word.
dd if=/dev/urandom of="$work/sent" bs=1M count=4 status=none
printf '#!/bin/sh\nexec cat "%s/sent"\n' "$work" >"$work/send.sh"
chmod 755 "$work/send.sh"
dd if=/dev/urandom of="$work/disk" bs=1M count=64 status=none

rm -rf "$work/guest" "$work/host"
mkdir -p "$work/guest/bin" "$work/host"/{bin,dev,proc,sys,tmp,guest}
cp "$here/guest.sh" "$work/guest/bin/vfio.sh"
cp "$guest/initrd.img" "$work/host/guest/initrd.img"
append "$work/guest" "$work/host/guest/initrd.img"
cp "$guest/vmlinuz" "$work/host/guest/"
cp /bin/busybox "$build/vivarium-vmm" "$work/host/bin/"
libraries "$build/vivarium-vmm" "$work/host"
cp "$here/host.sh" "$work/host/init"
echo "${SOAK_VFIO:-kvm soft hotplug-kvm hotplug-soft busy}" >"$work/host/parts"
md5sum <"$work/sent" >"$work/host/sent.md5"
copy_modules "$guest" "$work/host" kvm-amd vfio-pci vfio_iommu_type1
pack "$work/host" "$work/host.cpio"

# Under load the timer may be late for the kernel's look at whether it works.
timeout -k 10 7200 "${QEMU_SYSTEM:-qemu-system-x86_64}" -machine q35 -accel tcg,thread=multi -cpu max,+svm -smp 2 -m 2048 -nodefaults \
        -display none -no-reboot -serial "file:$work/console" -kernel "$guest/vmlinuz" -initrd "$work/host.cpio" \
        -append "console=ttyS0 quiet panic=-1 intel_iommu=on no_timer_check nokaslr cryptomgr.notests=1" \
        -device intel-iommu,intremap=on \
        -drive "file=$work/disk,format=raw,if=none,id=disk" -device nvme,drive=disk,serial=vivarium,addr=5 \
        -netdev "user,id=net,guestfwd=tcp:10.0.2.100:1234-cmd:$work/send.sh" \
        -device virtio-net-pci,netdev=net,addr=6,iommu_platform=on,disable-legacy=on \
        -device virtio-rng-pci,addr=7,iommu_platform=on,disable-legacy=on </dev/null >"$work/qemu.log" 2>&1 || :
tr -d '\r' <"$work/console" | grep -aE '^(ok|not ok) ' || :
tr -d '\r' <"$work/console" | grep -aqx 'vfio: done' || echo "not ok vfio: the host came to its end, see $work/console"
