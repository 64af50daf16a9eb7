# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Network cards and shared folders with a stock guest: sourced by the integration test (software processor) and by the
# system test (KVM). The sourcing script runs in a network namespace of its own, sets $vmm, $guest and $hypervisor, and has
# pass(), fail(), same() and skip(). VIVARIUM_NET_SECONDS (1): how long each stream of the TCP test runs.

# shellcheck disable=SC2154 # set by the sourcing script
: "$vmm" "$guest" "$hypervisor"
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "${BASH_SOURCE[0]}")/control.sh"
seconds=${VIVARIUM_NET_SECONDS:-1}
virtiofsd=/usr/lib/qemu/virtiofsd

# guest NAME STEPS OPTIONS...: a guest to its end; NAME.console and NAME.log are left
guest_runs() {
        local name=$1 steps=$2
        shift 2
        timeout $((300 + 10 * seconds)) "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 256 --cpus 2 \
                --initrd "$guest/initrd.img" --serial type=stdout,hardware=serial,num=1,console=true \
                -p "quiet panic=-1 cryptomgr.notests=1 vivarium.test=$steps" "$@" "$guest/vmlinuz" \
                </dev/null >"$name.console" 2>"$name.log"
        status=$?
        sed "s/^/$name| /" "$name.console" "$name.log" >&2
}

says() { # SENTENCE NAME PATTERN
        if grep -qE -- "$3" "$2.console"; then pass "$1"; else fail "$1"; fi
}

# rx or tx: mean bytes of a frame on the TAP interface, seen from the host; /sys is of another network namespace
mean_frame() {
        sed -n 's/^ *tap0: *//p' /proc/net/dev | awk -v at="$([ "$1" = rx ] && echo 1 || echo 9)" '{ print int($at / ($(at + 1) + 1)) }'
}

make_tap() { # FLAGS
        ip link del tap0 2>/dev/null
        # shellcheck disable=SC2086 # several
        ip tuntap add dev tap0 mode tap vnet_hdr $1
        ip addr add 10.9.0.1/24 dev tap0
        ip addr add fd09::1/64 dev tap0 nodad
        ip link set tap0 up
}

# Streams both ways, on IPv4 and IPv6. $1: what is said of it, $2: further steps before the streams, $3: --net's further keys
tap_streams() {
        local steps="net:10.9.0.2/24,net:fd09::2/64$2" mode address
        for address in 10.9.0.1 fd09::1; do
                for mode in send receive; do
                        steps="$steps,run:netpeer+$mode+$address+5001+$seconds"
                done
        done
        guest_runs tap "$steps,run:netpeer+echo+10.9.0.1+5001+1,poweroff" --net "tap-name=tap0$3"
        same "a guest with a card on a TAP interface powers off, $1" 0 $status
        for address in 10.9.0.1 fd09::1; do
                for mode in send receive; do
                        says "every byte arrives, $1: $mode, $address" tap "ok netpeer\+$mode\+$address"
                done
        done
        says "small messages go to and fro, $1" tap "ok netpeer\+echo"
}

# segments SENTENCE rx|tx: segments of many frames are seen, where a stream is quick enough to have them; acknowledgements are
# frames, too, but without segments no mean is above 1514
segments() {
        local bytes
        bytes=$(sed -n 's/^ *tap0: *//p' /proc/net/dev | awk -v at="$([ "$2" = rx ] && echo 1 || echo 9)" '{ print $at }')
        if [ "$bytes" -lt 8000000 ]; then skip "$1" "only $bytes bytes in this time"; else between "$1" 1600 70000 "$(mean_frame "$2")"; fi
}

between() { # SENTENCE LOW HIGH VALUE
        if [ "$4" -ge "$2" ] && [ "$4" -le "$3" ]; then pass "$1"; else fail "$1" && echo "$4 bytes"; fi
}

scenario_tap() {
        local peer
        ip link set lo up
        make_tap multi_queue
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        tap_streams "with offloads" "" ,vq-pairs=2
        segments "the guest sends segments of many frames" rx
        segments "it gets segments of many frames" tx
        make_tap ""
        "$guest/netpeer" plain tap0
        tap_streams "without offloads" ,run:netpeer+plain+eth0 ,mrg-rxbuf=false
        between "without offloads the guest sends frames" 60 1514 "$(mean_frame rx)"
        between "without offloads it gets frames" 60 1514 "$(mean_frame tx)"
        kill $peer
}

# A card and a disk whose rings are packed
scenario_packed() {
        local peer
        ip link set lo up
        make_tap multi_queue
        "$guest/netpeer" listen 5001 &
        peer=$!
        mkdir -p packed.tree
        head -c 3000000 /dev/urandom >packed.tree/from-host
        (cd packed.tree && sha256sum from-host >from-host.sha256)
        mke2fs -q -t ext4 -d packed.tree packed.img 32M
        guest_runs packed "net:10.9.0.2/24,run:grep+-c+^.{34}1+-E+/sys/block/vda/device/features,ext4:vda,$(
                )run:grep+-c+^.{34}1+-E+/sys/class/net/eth0/device/features,run:netpeer+send+10.9.0.1+5001+$seconds,$(
                )run:netpeer+receive+10.9.0.1+5001+$seconds,run:netpeer+echo+10.9.0.1+5001+1,poweroff" \
                --block packed.img,packed-queue --net tap-name=tap0,packed-queue,vq-pairs=2
        same "a guest with packed rings powers off" 0 $status
        says "its disk's driver takes them" packed 'ok grep.*/sys/block/vda'
        says "and reads and writes a file system with them" packed '^step ext4: ok'
        debugfs -R 'dump from-guest from-guest' packed.img 2>debugfs.log
        debugfs -R 'dump from-guest.sha256 from-guest.sha256' packed.img 2>>debugfs.log
        if sha256sum -c from-guest.sha256 >sum.log; then pass "the host finds what it wrote"; else fail "the host finds what it wrote"; fi
        says "its card's driver takes them" packed 'ok grep.*/sys/class/net'
        says "every byte that it sends arrives" packed 'ok netpeer\+send'
        says "and every byte that it is sent" packed 'ok netpeer\+receive'
        says "small messages go to and fro" packed 'ok netpeer\+echo'
        kill $peer
}

# ROUNDS: suspensions while the guest has interrupts of a timer, a disk and a card
scenario_suspend_card() {
        local peer
        ip link set lo up
        make_tap ""
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        scenario_suspend "$1" net:10.9.0.2/24,start:netpeer+echo+10.9.0.1+5001+100000, finish, --net tap-name=tap0
        expect "nor of the card, whose every message came back" suspend '^netpeer echo [0-9]'
        kill $peer
}

# The same by the host's kernel
scenario_vhost() {
        local peer
        ip link set lo up
        make_tap multi_queue
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        tap_streams "by the host's kernel" "" ,vhost-net,vq-pairs=2
        kill $peer
}

# A card that the host's kernel serves, without offloads: the machine is suspended while frames flow, then the cable is pulled.
scenario_vhost_suspend() {
        local peer bus rounds=0 failed=0 requests
        ip link set lo up
        make_tap ""
        "$guest/netpeer" plain tap0
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        vm_begin vhost "net:10.9.0.2/24,run:netpeer+plain+eth0,run:netpeer+send+10.9.0.1+5001+$((2 * seconds)),$(
                )run:netpeer+receive+10.9.0.1+5001+$((2 * seconds)),carrier:eth0:0,carrier:eth0:1,$(
                )run:netpeer+echo+10.9.0.1+5001+1,gpe:02,poweroff" --net tap-name=tap0,vhost-net,mrg-rxbuf=false
        vm_says vhost '^step net: ok'
        until grep -q '^waiting for carrier' vhost.console || [ $failed -gt 0 ]; do
                ask vhost suspend --full && ask vhost resume --full || failed=$((failed + 1))
                rounds=$((rounds + 1))
        done
        same "the machine is suspended while frames flow, $rounds times" 0 $failed
        expect "no byte that the guest sends meanwhile is lost" vhost 'ok netpeer\+send'
        expect "nor one that it receives" vhost 'ok netpeer\+receive'
        ask vhost stats >answer
        bus=$(jq -r '.Stats.devices | keys[] | capture("^virtio-net@(?<slot>.*)").slot' answer)
        requests=$(jq -r ".Stats.devices[\"virtio-net@$bus\"].requests" answer)
        # those of the control queue
        between "the VMM moves no frame itself" 0 20 "$requests"
        between "the guest sends no more than frames" 60 1514 "$(mean_frame rx)"
        between "it gets no more than frames" 60 1514 "$(mean_frame tx)"
        done_with "the cable is pulled" vhost virtio-net link "$bus" down
        expect "the guest sees that" vhost '^step carrier: ok eth0:0'
        vm_says vhost '^waiting for carrier eth0:1'
        done_with "the cable is plugged" vhost virtio-net link "$bus" up
        expect "the kernel serves the card again" vhost 'ok netpeer\+echo'
        ask vhost gpe 2
        ends_with "the guest powers off with a card of the kernel's" 0
        kill $peer
}

# A card that is plugged in while the guest runs, loses its cable for a while, goes, and leaves its interface to the next
scenario_cards() {
        local peer bus
        ip link set lo up
        make_tap ""
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        vm_begin cards "card:eth0,net:10.9.0.2/24,run:netpeer+send+10.9.0.1+5001+1,carrier:eth0:0,$(
                )carrier:eth0:1,run:netpeer+receive+10.9.0.1+5001+1,uncard:eth0,card:eth0,net:10.9.0.2/24,$(
                )run:netpeer+echo+10.9.0.1+5001+1,uncard:eth0,gpe:02,poweroff"
        vm_says cards '^waiting for card eth0'
        if ask cards virtio-net add nosuchtap00000000000; then fail "a name that no interface can have is refused"; else
                pass "a name that no interface can have is refused"
        fi
        done_with "a card is plugged in" cards virtio-net add tap0
        bus=$(jq -r .PciHotPlugResponse.bus answer)
        expect "the guest finds it" cards '^step card: ok eth0'
        expect "the guest sends through it" cards 'ok netpeer\+send'
        if ask cards virtio-net add tap0; then fail "an interface serves one card"; else pass "an interface serves one card"; fi
        if ask cards disk remove "$bus"; then fail "a card is no disk"; else pass "a card is no disk"; fi
        vm_says cards '^waiting for carrier eth0:0'
        done_with "its cable is pulled" cards virtio-net link "$bus" down
        expect "the guest sees no carrier" cards '^step carrier: ok eth0:0'
        done_with "its cable is plugged" cards virtio-net link "$bus" up
        expect "the guest sees a carrier" cards '^step carrier: ok eth0:1'
        expect "the guest receives through it" cards 'ok netpeer\+receive'
        done_with "the guest lets go of the card" cards virtio-net remove "$bus"
        expect "the card is gone" cards '^step uncard: ok eth0'
        if ask cards virtio-net remove "$bus"; then fail "a card goes once"; else pass "a card goes once"; fi
        if ask cards virtio-net link "$bus" up; then fail "and has no cable then"; else pass "and has no cable then"; fi
        ${plug_again:-ask} cards virtio-net add tap0 >answer
        bus=$(jq -r .PciHotPlugResponse.bus answer)
        expect "its interface serves another" cards 'ok netpeer\+echo'
        done_with "which goes, too" cards virtio-net remove "$bus"
        ask cards gpe 2 # not before: the guest's end would overtake the last answer
        ends_with "the guest powers off without cards" 0
        kill $peer
}

# The host's side of passt: an interface with a default route, and an address that is reached through it.
scenario_user() {
        local peer client left=$seconds sends=
        command -v passt >passt.path || { skip "the user-mode network" "no passt"; return; }
        ip link set lo up
        ip tuntap add dev up0 mode tap
        ip addr add 192.0.2.2/24 dev up0
        ip link set up0 up
        ip addr add 198.51.100.1/32 dev lo
        ip route add default via 192.0.2.1
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        # passt takes connections before the guest does, and drops or forgets those
        : >user.console
        (file_says user.console '^netpeer: serving'
                for mode in send receive; do timeout $((200 + seconds)) "$guest/netpeer" $mode 127.0.0.1 8080 $seconds; done >forward.log 2>&1) &
        client=$!
        # Debian 12's passt resets a connection on which the guest alone sends, after 24 s: it takes the acknowledgements, which
        # are all the same, for none.
        for (( ; left > 0; left -= 20)); do
                sends=$sends,run:netpeer+send+198.51.100.1+5001+$((left < 20 ? left : 20))
        done
        guest_runs user "dhcp$sends,run:netpeer+receive+198.51.100.1+5001+$seconds,$(
                )run:netpeer+serve+80+2,poweroff" --net user,forward=tcp:127.0.0.1:8080:80
        same "a guest on the user-mode network powers off" 0 $status
        says "the guest gets the host's address by DHCP" user "^dhcp 192.0.2.2/24"
        says "the guest sends through the helper" user "ok netpeer\+send"
        same "and each of its streams arrives" 0 "$(grep -c "failed netpeer" user.console)"
        says "the guest receives through the helper" user "ok netpeer\+receive"
        kill $peer $client 2>/dev/null
        same "a forwarded port leads to the guest, both ways" 2 "$(grep -cE '^netpeer (send|receive) [0-9]+ in' forward.log)"
        cat forward.log >&2
}

# $1: mebibytes each way
scenario_folder() {
        local server
        [ -x $virtiofsd ] || { skip "shared folders" "no virtiofsd"; return; }
        mkdir -p folder
        dd if=/dev/urandom of=folder/from-host bs=1M count="$1" 2>/dev/null
        (cd folder && sha256sum from-host >from-host.sha256)
        $virtiofsd --socket-path=fs.sock -o source="$PWD/folder" -o sandbox=chroot >fs.log 2>&1 &
        server=$!
        guest_runs folder "share:work:$1,poweroff" --vhost-user-connect-timeout-ms 60000 --vhost-user-fs fs.sock,tag=work
        same "a guest with a shared folder powers off" 0 $status
        says "the guest reads what the host wrote" folder "^from-host: OK"
        says "the guest writes into the folder" folder "^step share: ok"
        same "the host reads what the guest wrote" "from-guest: OK" "$(cd folder && sha256sum -c from-guest.sha256)"
        wait $server
}

# A process that ends while the guest uses the folder: the reason is logged, the guest gets errors and lets go of it.
scenario_folder_lost() {
        local server
        [ -x $virtiofsd ] || return
        mkdir -p folder
        $virtiofsd --socket-path=lost.sock -o source="$PWD/folder" -o sandbox=chroot >fs.log 2>&1 &
        server=$!
        : >lost.console
        (file_says lost.console '^waiting for event 02'
                kill -KILL $server
                ask lost.control gpe 2) &
        guest_runs lost "module:virtiofs,run:mount+-t+virtiofs+work+/mnt,run:dd+if=/dev/zero+of=/mnt/new+bs=64k+count=16,$(
                )gpe:02,run:ls+/mnt/new,run:cat+/mnt/from-host,run:sync,run:umount+/mnt,run:echo+alive,poweroff" \
                --socket lost.control.sock --vhost-user-connect-timeout-ms 60000 --vhost-user-fs lost.sock,tag=work
        same "a guest whose folder is lost syncs and powers off" 0 $status
        says "programs in it get an error" lost "^step run: failed (ls|cat)"
        says "it can let go of the folder" lost "^step run: ok umount"
        says "and goes on" lost "^alive"
        if grep -q "shared folder work: .* is lost" lost.log; then
                pass "the loss of a folder's process is logged"
        else
                fail "the loss of a folder's process is logged"
        fi
        guest_runs gone poweroff --vhost-user-fs lost.sock,tag=work
        same "a process that is not there is an error at the start" 1 $status
}
