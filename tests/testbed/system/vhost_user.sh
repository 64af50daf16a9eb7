# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Devices that other processes serve, with Debian's drivers: a disk of QEMU's storage daemon, and what else there is. Sourced by
# the integration test (software processor) and by the system test (KVM), behind control.sh, which has what is used here.
# VIVARIUM_QSD (qemu-storage-daemon): another version of it; those before 8.1 do not tell of a size that has changed. Not in
# Debian 12, but in 13 and later: VIVARIUM_VHOST_VSOCK (vhost-device-vsock), VIVARIUM_VHOST_RNG (vhost-device-rng),
# VIVARIUM_PASST (passt that speaks vhost-user), VIVARIUM_VIRTIOFSD (the one in Rust).
qsd=${VIVARIUM_QSD:-qemu-storage-daemon}
# A socket is there before somebody listens.
waits=(--vhost-user-connect-timeout-ms 60000)

# serve_disk SOCKET: sets server, a process that serves disk.img
serve_disk() {
        "$qsd" --blockdev driver=file,node-name=disk,filename=disk.img \
                --export "type=vhost-user-blk,id=e,node-name=disk,writable=on,num-queues=2,addr.type=unix,addr.path=$1" \
                --chardev socket,id=m,path="$1.qmp",server=on,wait=off --monitor chardev=m >qsd.log 2>&1 &
        server=$!
}

# Two disks: one that is used to the end, one whose process is killed
scenario_served_disk() {
        local server before after cache=/sys/block/vda/cache_type
        local rebind='cd+/sys/bus/virtio/drivers/virtio_blk&&d=$(echo+virtio*)&&echo+$d>unbind&&echo+$d>bind'
        head -c 16M /dev/urandom >disk.img
        before=$(sha256sum <disk.img)
        # The VMM is there first, and waits.
        vm_begin served "run:ls+/sys/block/vda/mq,run:sha256sum+/dev/vda,$(
        )run:dd+if=/dev/urandom+of=/dev/vda+bs=64k+count=96+seek=32+oflag=direct,run:eval+$rebind,$(
        )run:eval+echo+write+back>$cache,run:cat+$cache,run:sha256sum+/dev/vda,poweroff" \
                "${waits[@]}" --vhost-user block,socket=served.disk,max-queue-size=64,pci-address=00:0f.0
        serve_disk served.disk
        ends_with "a guest with a disk of another process powers off" 0
        expect "it has the queues that the process has" served '^0 +1'
        expect "it reads what the host wrote" served "^${before%% *}  /dev/vda"
        expect "its driver can be taken off and put back" served 'step run: ok .*>bind'
        expect "the process hears of the cache that the guest wants" served '^write back'
        after=$(sha256sum <disk.img)
        check "the guest has written" test "$before" != "$after"
        expect "and reads from the driver's second life what the host does" served "^${after%% *}  /dev/vda"
        kill $server # which goes with its client, but for versions that do not
        wait $server 2>>kill.log

        serve_disk lost.disk
        vm_begin lost "gpe:02,run:dd+if=/dev/vda+of=/dev/null+bs=64k+skip=64+iflag=direct,run:echo+alive,poweroff" \
                "${waits[@]}" --vhost-user-blk lost.disk
        expect "a guest with a disk by the older option is up" lost '^waiting for event 02'
        kill -KILL $server
        wait $server 2>>kill.log
        ask lost gpe 2
        ends_with "a guest whose disk is lost powers off" 0
        expect "its programs get an error" lost 'step run: failed dd'
        expect "it goes on" lost '^alive'
        check "the loss is in the log, with the device and the cause" grep -q -- \
                '--vhost-user block,socket=lost.disk: the process that serves it is lost: it closed the connection' lost.log
}

scenario_served_disk_grows() {
        local server version
        version=$("$qsd" --version | sed -n 's/.* version \([0-9]*\.[0-9]*\).*/\1/p')
        if [ "$(printf '%s\n' 8.1 "$version" | sort -V | head -n 1)" != 8.1 ]; then
                skip "a size that changes while the guest runs" "qemu-storage-daemon $version does not tell"
                return
        fi
        serve_disk grows.disk
        vm_begin grows "resize:vda:40960,poweroff" "${waits[@]}" --vhost-user block,socket=grows.disk
        expect "a guest waits for its disk to grow" grows '^waiting for a size'
        python3 - <<'PYTHON'
import json, socket
monitor = socket.socket(socket.AF_UNIX)
monitor.connect("grows.disk.qmp")
answers = monitor.makefile("rw")
answers.readline()
for command in {"execute": "qmp_capabilities"}, {"execute": "block_resize", "arguments": {"node-name": "disk", "size": 20971520}}:
    answers.write(json.dumps(command))
    answers.flush()
    assert "error" not in json.loads(answers.readline())
PYTHON
        ends_with "it powers off" 0
        expect "it has seen the disk grow" grows 'step resize: ok'
}

scenario_served_sockets() {
        local server peer vsock=${VIVARIUM_VHOST_VSOCK:-vhost-device-vsock}
        type -P "$vsock" >vsock.path || { skip "sockets of another process" "no $vsock"; return; }
        "$vsock" --guest-cid 42 --socket vsock.sock --uds-path host >vsock.log 2>&1 &
        server=$!
        begin_peer peer.log "$guest/vsock_peer" serve unix:host_5000
        peer=$!
        vm_begin sockets "module:vmw_vsock_virtio_transport,run:vsock_peer+get+vsock:2:5000+1048576,gpe:02,$(
        )run:vsock_peer+get+vsock:2:5000+100000000000,run:echo+alive,poweroff" "${waits[@]}" --vhost-user vsock,socket=vsock.sock
        expect "a guest has its sockets from another process" sockets 'get 1048576 ok'
        expect "it waits" sockets '^waiting for event 02'
        ask sockets gpe 2
        expect "it is being sent more" sockets '^step gpe: ok 02'
        kill -KILL $server
        wait $server 2>>kill.log
        ends_with "a guest whose sockets are lost powers off" 0
        expect "its connections are reset" sockets 'step run: failed .*100000000000'
        kill $peer
}

scenario_served_rng() {
        local server rng=${VIVARIUM_VHOST_RNG:-vhost-device-rng}
        type -P "$rng" >rng.path || { skip "random numbers of another process" "no $rng"; return; }
        "$rng" --socket-path entropy.sock >rng.log 2>&1 &
        server=$!
        vm_begin rng rng,poweroff --no-rng "${waits[@]}" --vhost-user rng,socket=entropy.sock0
        ends_with "a guest with random numbers of another process powers off" 0
        expect "it gets them" rng '^step rng: ok'
        kill $server
}

scenario_served_card() {
        local server passt=${VIVARIUM_PASST:-passt}
        if ! "$passt" --help 2>&1 | grep -q -- --vhost-user; then
                skip "a network card of another process" "no $passt that speaks vhost-user"
                return
        elif ! unshare -n ip tuntap add dev tap0 mode tap; then
                skip "a network card of another process" "no TAP interfaces in a network namespace of our own"
                return
        fi
        # It passes on what the host has.
        unshare -n sh -c "ip link set lo up && ip tuntap add dev up0 mode tap && ip addr add 192.0.2.2/24 dev up0 && ip link set up0 up &&
                ip route add default via 192.0.2.1 && exec '$passt' --foreground --vhost-user --socket net.sock" >passt.log 2>&1 &
        server=$!
        vm_begin card module:virtio_net,dhcp,poweroff "${waits[@]}" --vhost-user net,socket=net.sock
        ends_with "a guest with a card of another process powers off" 0
        expect "it has its address from there" card '^dhcp 192.0.2.2/24'
        kill $server 2>>kill.log
}

# Consoles of tests/fake/vhost_console.c: one with a port, whose driver is taken off and put back, and one with three, whose
# process is killed.
scenario_served_console() {
        local server served=${VIVARIUM_VHOST_CONSOLE:-vhost_console}
        local rebind='cd+/sys/bus/virtio/drivers/virtio_console&&d=$(echo+virtio*)&&echo+$d>unbind&&echo+$d>bind'
        type -P "$served" >console.path || { skip "a console of another process" "no $served"; return; }
        rm -f hvc.in
        mkfifo hvc.in
        "$served" hvc.socket <>hvc.in >hvc.out 2>hvc.log &
        server=$!
        vm_begin console "run:eval+stty+size+</dev/hvc0,run:eval+echo+hello>/dev/hvc0,run:eval+read+l</dev/hvc0&&echo+got+\$l,$(
        )run:eval+$rebind,run:eval+echo+again>/dev/hvc0,run:eval+read+l</dev/hvc0&&echo+got+\$l,poweroff" \
                "${waits[@]}" --vhost-user console,socket=hvc.socket
        expect "a guest has a console of another process, whose size changes" console '^40 100'
        check "the process has what the guest writes" file_says hvc.out '^hello'
        echo 'from the host' >hvc.in
        expect "the guest has what the process writes" console '^got from the host'
        check "after its driver was taken off and put back, too" file_says hvc.out again
        echo 'once more' >hvc.in
        expect "both ways" console '^got once more'
        ends_with "it powers off" 0
        wait $server
        same "the process sees the end of its client" 0 $?

        : >hvcs.out
        "$served" hvcs.socket 3 </dev/null >hvcs.out 2>hvcs.log &
        server=$!
        vm_begin ports "run:eval+dd+if=/dev/zero+bs=1k+count=100|tr+'\\000'+x>/dev/hvc0,run:eval+echo+done>/dev/hvc0,$(
        )run:cat+/sys/class/virtio-ports/vport0p1/name,$(
        )run:eval+exec+3<>/dev/vport0p2&&echo+there+and+back>&3&&read+l<&3&&echo+\$l,gpe:02,$(
        )run:eval+echo+lost>/dev/hvc0,run:echo+alive,poweroff" "${waits[@]}" --vhost-user-console hvcs.socket
        check "the process of a console with more ports has what the guest writes" file_says hvcs.out 'done'
        same "all of it" 102400 "$(tr -dc x <hvcs.out | wc -c)"
        expect "another port has a name" ports '^echo'
        expect "and gives back what is written to it" ports '^there and back'
        expect "the guest waits" ports '^waiting for event 02'
        kill -KILL $server
        wait $server 2>>kill.log
        ask ports gpe 2
        expect "it writes to a console whose process is lost" ports '^step run: ok .*lost'
        ends_with "it powers off" 0
}

scenario_served_folder() {
        local virtiofsd=${VIVARIUM_VIRTIOFSD:-/usr/libexec/virtiofsd}
        [ -x "$virtiofsd" ] || { skip "a folder whose process tells the tag" "no $virtiofsd"; return; }
        mkdir tagged
        head -c 1M /dev/urandom >tagged/from-host
        (cd tagged && sha256sum from-host >from-host.sha256)
        "$virtiofsd" --socket-path fs.sock --shared-dir tagged --tag work --sandbox none >fs.log 2>&1 &
        vm_begin tagged share:work:1,poweroff "${waits[@]}" --vhost-user fs,socket=fs.sock
        ends_with "a guest with a folder whose process tells the tag powers off" 0
        expect "it reads what the host wrote" tagged '^from-host: OK'
        same "the host reads what the guest wrote" "from-guest: OK" "$(cd tagged && sha256sum -c from-guest.sha256)"
}
