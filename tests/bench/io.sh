#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by what races disks, network cards and sockets: ours and QEMU's q35 with virtio-blk-pci, virtio-net-pci and
# vhost-vsock-pci take turns on the same kernel, initrd, image, interface, memory, one vCPU and kind of accelerator. The image goes through the host's
# page cache in both. The caller sets: vmm, qemu (a command), guest (a folder), suite (an initramfs with bin/disk_suite in it).
# shellcheck disable=SC2154 # those
io_params="console=ttyS0 quiet panic=-1 cryptomgr.notests=1"

io_ours() { # HYPERVISOR INITRD STEPS OPTIONS...
        local hypervisor=$1 initrd=$2 steps=$3
        shift 3
        timeout 120 "$vmm" run --hypervisor "$hypervisor" --mem 256 --cpus 1 --initrd "$initrd" \
                --params "$io_params vivarium.test=$steps" --serial type=stdout,hardware=serial,num=1,console=true \
                "$@" "$guest/vmlinuz" </dev/null
}

io_qemu() { # ACCELERATOR CPU INITRD STEPS OPTIONS...
        local accel=$1 cpu=$2 initrd=$3 steps=$4
        shift 4
        # shellcheck disable=SC2086 # $qemu may carry options of its own
        timeout 120 $qemu -accel "$accel" -cpu "$cpu" -M q35,memory-backend=ram \
                -object memory-backend-memfd,id=ram,size=256M,share=on -m 256 -smp 1 -nodefaults -display none \
                -serial stdio -no-reboot -kernel "$guest/vmlinuz" -initrd "$initrd" \
                -append "$io_params vivarium.test=$steps" "$@" </dev/null
}

# Lines `NAME VALUE` of many runs to lines `figure PREFIX.NAME UNIT OURS PEER-NAME PEER`, each the median of its runs.
io_figures() { # PREFIX PEER-NAME OURS THEIRS
        local name unit
        cut -d' ' -f1 "$3" | sort -u | while read -r name; do
                case $name in seqread | tcp.?x) unit=MiB/s ;; save | restore) unit=ms ;; *) unit=1/s ;; esac
                echo "figure $1.$name $unit $(io_median "$name" "$3") $2 $(io_median "$name" "$4")"
        done
}
io_median() { awk -v name="$1" '$1 == name { print $2 }' "$2" | sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }

race_disks() { # PREFIX HYPERVISOR ACCELERATOR CPU ROUNDS DIRECTORY
        local image=$6/disk.img initrd=$6/initrd steps=run:disk_suite+/dev/vda+${BENCH_DISK_MSEC:-700},poweroff
        cp "$guest/initrd.img" "$initrd"
        truncate -s %4 "$initrd" # where the kernel looks for a second archive
        cat "$suite" >>"$initrd"
        dd if=/dev/urandom of="$image" bs=1M count=256 2>/dev/null
        for _ in $(seq "$5"); do
                io_ours "$2" "$initrd" "$steps" --block "$image" >>"$6/ours.console"
                io_qemu "$3" "$4" "$initrd" "$steps" -device virtio-blk-pci,drive=d \
                        -drive "file=$image,format=raw,if=none,id=d,cache=writeback,aio=io_uring" >>"$6/qemu.console"
        done
        for who in ours qemu; do
                tr -d '\r' <"$6/$who.console" | sed -n 's/^disk //p' >"$6/$who.disks"
        done
        io_figures "$1" "qemu-$3" "$6/ours.disks" "$6/qemu.disks"
        rm -f "$image"
}

# In a network namespace of the caller's, which it may change.
race_cards() { # PREFIX HYPERVISOR ACCELERATOR CPU ROUNDS DIRECTORY
        local peer mode steps=net:10.9.0.2/24
        ip link set lo up
        ip tuntap add dev tap0 mode tap vnet_hdr
        ip addr add 10.9.0.1/24 dev tap0
        ip link set tap0 up
        "$guest/netpeer" listen 5001 &
        peer=$!
        for mode in send receive echo; do
                steps="$steps,run:netpeer+$mode+10.9.0.1+5001+1"
        done
        for _ in $(seq "$5"); do
                io_ours "$2" "$guest/initrd.img" "$steps,poweroff" --net tap-name=tap0 >>"$6/ours.console"
                io_qemu "$3" "$4" "$guest/initrd.img" "$steps,poweroff" -device virtio-net-pci,netdev=n,romfile= \
                        -netdev tap,id=n,ifname=tap0,script=no,downscript=no,vhost=off >>"$6/qemu.console"
        done
        kill $peer
        ip link del tap0
        # bytes and rounds as netpeer tells them: MODE COUNT in SECONDS
        for who in ours qemu; do
                tr -d '\r' <"$6/$who.console" | awk '
                        $1 != "netpeer" || $4 != "in" || $5 <= 0 { next }
                        $2 == "send" { printf "tcp.tx %.1f\n", $3 / $5 / 1048576 }
                        $2 == "receive" { printf "tcp.rx %.1f\n", $3 / $5 / 1048576 }
                        $2 == "echo" { printf "rr %.1f\n", $3 / $5 }' >"$6/$who.cards"
        done
        io_figures "$1" "qemu-$3" "$6/ours.cards" "$6/qemu.cards"
}

# A stream from the guest to the host, as `tx MIB/S` of a console
socket_rates() { tr -d '\r' | sed -n 's/^vsock_peer: put \([0-9]*\) ok in \([0-9.]*\) s.*/\1 \2/p' | awk '$2 > 0 { printf "tx %.1f\n", $1 / $2 / 1048576 }'; }

# Ours in user space, and by the host's kernel where that has vhost-vsock and the guest is KVM's, as QEMU's is always.
race_sockets() { # PREFIX HYPERVISOR ACCELERATOR CPU ROUNDS DIRECTORY
        local peers kernel=vsock:4294967295:5000 mib=16 steps
        [ "$2" = kvm ] || mib=512
        steps=module:vmw_vsock_virtio_transport,run:vsock_peer+put+vsock:2:5000+$((mib << 20)),poweroff
        mkdir -p "$6/sockets"
        "$guest/vsock_peer" serve "unix:$6/sockets/vsock_5000" >"$6/peer.log" 2>&1 &
        peers=$!
        if [ "$2" = kvm ] && [ -e /dev/vhost-vsock ]; then
                "$guest/vsock_peer" serve $kernel >"$6/kernel.log" 2>&1 &
                peers="$peers $!"
        else
                kernel=
        fi
        for _ in $(seq "$5"); do
                io_ours "$2" "$guest/initrd.img" "$steps" --vsock "cid=9,socket-dir=$6/sockets" >>"$6/ours.console"
                [ -n "$kernel" ] || continue
                io_ours "$2" "$guest/initrd.img" "$steps" --vsock cid=9 >>"$6/vhost.console"
                io_qemu "$3" "$4" "$guest/initrd.img" "$steps" -device vhost-vsock-pci,guest-cid=9 >>"$6/qemu.console"
        done
        # shellcheck disable=SC2086 # several
        kill $peers
        for who in ours vhost qemu; do
                [ ! -e "$6/$who.console" ] || socket_rates <"$6/$who.console" >"$6/$who.sockets"
        done
        if [ -z "$kernel" ]; then
                echo "figure $1.tx MiB/s $(io_median tx "$6/ours.sockets") - -"
                return
        fi
        echo "figure $1.tx MiB/s $(io_median tx "$6/ours.sockets") qemu-vhost $(io_median tx "$6/qemu.sockets")"
        echo "figure $1.vhost.tx MiB/s $(io_median tx "$6/vhost.sockets") qemu-vhost $(io_median tx "$6/qemu.sockets")"
}
