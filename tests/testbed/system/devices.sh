# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Every device and every request of the control socket in the VMM's sandbox, with a stock guest: sourced behind control.sh in
# a network namespace of its own, as network.sh is.

# Every device that the VMM has. test_devices.sh compares it with the sources.
all_devices="virtio-balloon virtio-blk virtio-console virtio-fs virtio-net virtio-pmem virtio-rng virtio-scsi virtio-vsock"
virtiofsd=/usr/lib/qemu/virtiofsd

# idle_devices: those without a single request
idle_devices() {
        jq -r '.Stats.devices | to_entries[] | select(.key | startswith("virtio")) | select(.value.requests == 0) | .key' stats |
                xargs
}

devices_steps() {
        local steps="rng,write:hvc0" file
        for file in vda pmem0 sda; do
                [ $file != pmem0 ] || steps="$steps,module:virtio_pmem,module:nd_pmem"
                [ $file != sda ] || steps="$steps,module:virtio_scsi,module:sd_mod,disk:sda"
                steps="$steps,run:dd+if=/dev/zero+of=/dev/$file+bs=64k+count=16+conv=fsync,run:dd+if=/dev/$file+of=/dev/null+bs=64k"
        done
        steps="$steps,run:blkdiscard+/dev/vda,run:blkdiscard+/dev/sda,share:work:1"
        steps="$steps,net:10.9.0.2/24,run:netpeer+send+10.9.0.1+5001+1,run:netpeer+receive+10.9.0.1+5001+1"
        steps="$steps,module:vmw_vsock_virtio_transport,run:vsock_peer+put+vsock:2:5000+65536,run:vsock_peer+get+vsock:2:5000+65536"
        steps="$steps,module:virtio_balloon,button:Power_Button,gpe:03"
        # a disk that is plugged in has threads in place of io_uring
        steps="$steps,plug:vdb,run:dd+if=/dev/zero+of=/dev/vdb+bs=64k+count=16+conv=fsync,run:blkdiscard+/dev/vdb"
        steps="$steps,resize:vdb:16384,run:dd+if=/dev/vdb+of=/dev/null+bs=64k,unplug:vdb,card:eth1,run:ip+link+set+eth1+up,carrier:eth1:0,uncard:eth1"
        echo "$steps,run:echo+all+of+it,gpe:02,poweroff"
}

scenario_devices() {
        local pids second
        [ -x $virtiofsd ] || { skip "every device in the sandbox" "no virtiofsd"; return; }
        mkdir -p devices.d folder
        truncate -s 8M devices.img devices.pmem devices.scsi
        truncate -s 4M second.img
        echo shared >folder/from-host
        (cd folder && sha256sum from-host >from-host.sha256)
        ip link set lo up
        for tap in tap0 tap1; do ip tuntap add dev $tap mode tap vnet_hdr; done
        ip addr add 10.9.0.1/24 dev tap0
        ip link set tap0 up
        ip link set tap1 up
        begin_peer peer.log "$guest/netpeer" listen 5001
        pids=$!
        begin_peer service.log "$guest/vsock_peer" serve unix:devices.d/vsock_5000
        pids="$pids $!"
        $virtiofsd --socket-path=fs.sock -o source="$PWD/folder" -o sandbox=chroot >fs.log 2>&1 &
        vm_begin devices "$(devices_steps)" --block devices.img --pmem devices.pmem --scsi-block devices.scsi --net tap-name=tap0 \
                --vhost-user-connect-timeout-ms 60000 --vhost-user-fs fs.sock,tag=work --vsock cid=9,socket-dir=devices.d --balloon-page-reporting \
                --serial type=file,path=devices.virtio,hardware=virtio-console,num=1

        vm_says devices '^step module: ok virtio_balloon'
        done_with "the balloon is inflated" devices balloon --wait 33554432
        done_with "it tells of the guest's memory" devices balloon_stats
        done_with "it is deflated" devices balloon --wait 0
        vm_says devices '^waiting for the Power'
        done_with "a button is pressed" devices powerbtn
        vm_says devices '^waiting for event 03'
        done_with "the other, too" devices sleepbtn
        done_with "an event is raised" devices gpe 3
        vm_says devices '^waiting for vdb'
        done_with "a disk is plugged in" devices disk add second.img
        second=$(jq -r .PciHotPlugResponse.bus answer)
        vm_says devices '^step run: ok blkdiscard./dev/vdb'
        done_with "it is enlarged" devices disk resize 1 8388608
        vm_says devices '^waiting for the end of vdb'
        ask devices stats >stats.disk
        done_with "it goes" devices disk remove "$second"
        vm_says devices '^waiting for card eth1'
        done_with "a card is plugged in" devices virtio-net add tap1
        second=$(jq -r .PciHotPlugResponse.bus answer)
        vm_says devices '^waiting for carrier eth1:0'
        done_with "its cable is pulled" devices virtio-net link "$second" down
        vm_says devices '^step carrier: ok eth1:0'
        done_with "the card goes" devices virtio-net remove "$second"
        vm_says devices '^waiting for event 02'
        done_with "the vCPUs are suspended" devices suspend
        done_with "the devices, too" devices suspend --full
        done_with "the VM says so" devices state
        done_with "it is dumped" devices ramdump devices.core
        done_with "it goes on" devices resume --full
        done_with "its threads are told" devices vcpus
        done_with "its counters are told" devices stats
        cp answer stats
        ask devices gpe 2
        ends_with "a guest that has used every device powers off" 0
        same "each step of it worked" "" "$(grep -a '^step .*: failed' devices.console)"
        same "all kinds of devices are there" "$all_devices" \
                "$(jq -r '.Stats.devices | keys[] | select(startswith("virtio")) | sub("@.*"; "")' stats stats.disk | sort -u | xargs)"
        same "none was idle" "" "$(idle_devices)"
        same "no filter and no sandbox was in the way" "" "$(grep -E 'seccomp|sandbox:' devices.log)"
        # shellcheck disable=SC2086 # several
        kill $pids
}
