#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Devices that other processes serve, with stock drivers on the software processor: a disk of QEMU's storage daemon, and what
# else there is.
# VIVARIUM_QSD (qemu-storage-daemon): another version of it; those before 8.1 do not tell of a size that has changed.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
need_guest initrd.img
qsd=${VIVARIUM_QSD:-qemu-storage-daemon}
type -P "$qsd" >qsd.path || skip_all "no $qsd"
explain() { tail -n 20 console vmm.log qsd.log; }

# serve SOCKET: sets server, a process that serves disk.img
serve() {
        "$qsd" --blockdev driver=file,node-name=disk,filename=disk.img \
                --export "type=vhost-user-blk,id=e,node-name=disk,writable=on,num-queues=2,addr.type=unix,addr.path=$1" \
                --chardev socket,id=m,path="$1.qmp",server=on,wait=off --monitor chardev=m >qsd.log 2>&1 &
        server=$!
}
# boot STEPS ARGUMENTS...: in the background; sets vm
boot() {
        : >console
        timeout 400 "$vmm" --extended-status run --hypervisor soft --mem 256 --cpus 2 --initrd "$guest/initrd.img" \
                --serial "type=file,path=console,hardware=serial,num=1,console=true" \
                --params "quiet panic=-1 vivarium.test=$1" "${@:2}" "$guest/vmlinuz" </dev/null 2>vmm.log &
        vm=$!
}
says() { check "$1" grep -Eq "$2" console; } # SENTENCE PATTERN
ends_well() {                                # SENTENCE
        wait "$vm"
        same "$1" 0 $?
}
# A socket is there before somebody listens.
waits=(--vhost-user-connect-timeout-ms 60000)

head -c 16M /dev/urandom >disk.img
before=$(sha256sum <disk.img)
cache=/sys/block/vda/cache_type
# shellcheck disable=SC2016 # the guest's shell puts the name in
rebind='cd+/sys/bus/virtio/drivers/virtio_blk&&d=$(echo+virtio*)&&echo+$d>unbind&&echo+$d>bind'

# The VMM is there first, and waits.
boot "run:ls+/sys/block/vda/mq,run:sha256sum+/dev/vda,$(
        )run:dd+if=/dev/urandom+of=/dev/vda+bs=64k+count=96+seek=32+oflag=direct,run:eval+$rebind,$(
        )run:eval+echo+write+back>$cache,run:cat+$cache,run:sha256sum+/dev/vda,poweroff" \
        "${waits[@]}" --vhost-user block,socket=disk.sock,max-queue-size=64,pci-address=00:0f.0
serve disk.sock
ends_well "a guest with a disk of another process powers off"
says "it has the queues that the process has" '^0 +1'
says "it reads what the host wrote" "^${before%% *}  /dev/vda"
says "its driver can be taken off and put back" 'step run: ok .*>bind'
says "the process hears of the cache that the guest wants" '^write back'
after=$(sha256sum <disk.img)
check "the guest has written" test "$before" != "$after"
says "and reads from the driver's second life what the host does" "^${after%% *}  /dev/vda"

# The server goes with its client.
kill $server
wait $server 2>>kill.log
serve lost.sock
boot "gpe:02,run:dd+if=/dev/vda+of=/dev/null+bs=64k+skip=64+iflag=direct,run:echo+alive,poweroff" \
        "${waits[@]}" --vhost-user-blk lost.sock --socket control.sock
check "a guest with a disk by the older option is up" eventually grep -q '^waiting for event 02' console
kill -KILL $server
wait $server 2>>kill.log
"$vmm" gpe 2 control.sock
ends_well "a guest whose disk is lost powers off"
says "its programs get an error" 'step run: failed dd'
says "it goes on" '^alive'
check "the loss is in the log, with the device and the cause" \
        grep -q -- '--vhost-user block,socket=lost.sock: the process that serves it is lost: it closed the connection' vmm.log

boot poweroff --vhost-user block,socket=gone.sock
wait $vm
same "a process that is not there is an error at the start" 1 $?
check "which names the device" grep -q -- '--vhost-user block,socket=gone.sock: cannot connect' vmm.log

version=$("$qsd" --version | sed -n 's/.* version \([0-9]*\.[0-9]*\).*/\1/p')
if [ "$(printf '%s\n' 8.1 "$version" | sort -V | head -n 1)" != 8.1 ]; then
        skip "a size that changes while the guest runs" "qemu-storage-daemon $version does not tell"
else
        serve grows.sock
        boot "resize:vda:40960,poweroff" "${waits[@]}" --vhost-user block,socket=grows.sock
        check "a guest waits for its disk to grow" eventually grep -q '^waiting for a size' console
        python3 - <<'PYTHON'
import json, socket
monitor = socket.socket(socket.AF_UNIX)
monitor.connect("grows.sock.qmp")
answers = monitor.makefile("rw")
answers.readline()
for command in {"execute": "qmp_capabilities"}, {"execute": "block_resize", "arguments": {"node-name": "disk", "size": 20971520}}:
    answers.write(json.dumps(command))
    answers.flush()
    assert "error" not in json.loads(answers.readline())
PYTHON
        ends_well "it powers off"
        says "it has seen the disk grow" 'step resize: ok'
fi

# ---- other types, where there is a process that serves them ----
# Not in Debian 12; tried with those of Debian 13 and later.
vsock=${VIVARIUM_VHOST_VSOCK:-vhost-device-vsock} rng=${VIVARIUM_VHOST_RNG:-vhost-device-rng}
passt=${VIVARIUM_PASST:-passt} virtiofsd=${VIVARIUM_VIRTIOFSD:-/usr/libexec/virtiofsd}

if ! type -P "$vsock" >vsock.path; then
        skip "sockets of another process" "no $vsock"
else
        "$vsock" --guest-cid 42 --socket vsock.sock --uds-path host >vsock.log 2>&1 &
        server=$!
        "$guest/vsock_peer" serve unix:host_5000 >peer.log 2>&1 &
        peer=$!
        eventually listening host_5000
        boot "module:vmw_vsock_virtio_transport,run:vsock_peer+get+vsock:2:5000+1048576,gpe:02,$(
                )run:vsock_peer+get+vsock:2:5000+100000000000,run:echo+alive,poweroff" \
                "${waits[@]}" --vhost-user vsock,socket=vsock.sock --socket vsock.control
        check "a guest has its sockets from another process" eventually grep -q 'get 1048576 ok' console
        check "it waits" eventually grep -q '^waiting for event 02' console
        "$vmm" gpe 2 vsock.control
        check "it is being sent more" eventually grep -q '^step gpe: ok 02' console
        kill -KILL $server
        wait $server 2>>kill.log
        ends_well "a guest whose sockets are lost powers off"
        says "its connections are reset" 'step run: failed .*100000000000'
        kill $peer
fi

if ! type -P "$rng" >rng.path; then
        skip "random numbers of another process" "no $rng"
else
        "$rng" --socket-path rng.sock >rng.log 2>&1 &
        server=$!
        boot rng,poweroff --no-rng "${waits[@]}" --vhost-user rng,socket=rng.sock0
        ends_well "a guest with random numbers of another process powers off"
        says "it gets them" '^step rng: ok'
        kill $server
fi

if ! "$passt" --help 2>&1 | grep -q -- --vhost-user; then
        skip "a network card of another process" "no $passt that speaks vhost-user"
elif ! unshare -n ip tuntap add dev tap0 mode tap; then
        skip "a network card of another process" "no TAP interfaces in a network namespace of our own"
else
        # It passes on what the host has.
        unshare -n sh -c "ip link set lo up && ip tuntap add dev up0 mode tap && ip addr add 192.0.2.2/24 dev up0 && ip link set up0 up &&
                ip route add default via 192.0.2.1 && exec '$passt' --foreground --vhost-user --socket net.sock" >passt.log 2>&1 &
        server=$!
        boot module:virtio_net,dhcp,poweroff "${waits[@]}" --vhost-user net,socket=net.sock
        ends_well "a guest with a card of another process powers off"
        says "it has its address from there" '^dhcp 192.0.2.2/24'
        kill $server 2>>kill.log
fi

if ! [ -x "$virtiofsd" ]; then
        skip "a folder whose process tells the tag" "no $virtiofsd"
else
        mkdir folder
        head -c 1M /dev/urandom >folder/from-host
        (cd folder && sha256sum from-host >from-host.sha256)
        "$virtiofsd" --socket-path fs.sock --shared-dir folder --tag work --sandbox none >fs.log 2>&1 &
        server=$!
        boot share:work:1,poweroff "${waits[@]}" --vhost-user fs,socket=fs.sock
        ends_well "a guest with a folder whose process tells the tag powers off"
        says "it reads what the host wrote" '^from-host: OK'
        same "the host reads what the guest wrote" "from-guest: OK" "$(cd folder && sha256sum -c from-guest.sha256)"
fi
[ $failed -eq 0 ]
