# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sockets between guest and host, and the memory balloon, with Debian's drivers: sourced by the integration test (software
# processor) and by the system test (KVM), behind control.sh, which has what is used here.

# sockets_both_ways CONNECTIONS BYTES LISTEN CONNECT OPTIONS...: a VM named sockets serves port 6000, and is left running. LISTEN
# is where the host takes what goes to its port 5000, CONNECT: what comes before a port of the guest. Sets $service.
sockets_both_ways() {
        local n=$1 bytes=$2 listen=$3 connect=$4 peer=$guest/vsock_peer
        shift 4
        begin_peer service.log "$peer" serve "$listen"
        service=$!
        vm_begin sockets "module:vmw_vsock_virtio_transport,run:vsock_peer+put+vsock:2:5000+$bytes,run:vsock_peer+get+vsock:2:5000+$bytes,run:vsock_peer+many+vsock:2:5000+$n,run:vsock_peer+get+vsock:2:5001+1,run:vsock_peer+serve+vsock:4294967295:6000" \
                "$@"
        expect "the guest sends $bytes bytes, and each is right" sockets "vsock_peer: put $bytes ok"
        expect "it gets as many" sockets "vsock_peer: get $bytes ok"
        expect "it has $n connections at once" sockets "vsock_peer: many $n ok"
        expect "a port of the host without a service is refused" sockets 'vsock:2:5001: Connection reset'
        expect "a service in the guest listens" sockets 'vsock_peer: serving vsock'
        for verb in put get; do
                if "$peer" $verb "$connect:6000" "$bytes" >host.log 2>&1; then
                        pass "the host does $verb as well"
                else
                        fail "the host does $verb as well"
                fi
                cat host.log >&2
        done
        if "$peer" many "$connect:6000" "$n" >host.log 2>&1; then
                pass "the host has $n connections at once"
        else
                fail "the host has $n connections at once"
        fi
        cat host.log >&2
        if "$peer" get "$connect:6001" 1 >host.log 2>&1; then
                fail "a port of the guest without a service is refused"
        else
                pass "a port of the guest without a service is refused"
        fi
}

sockets_end() {
        ask sockets stop
        ends_with "the VM stops" 0
        sed -n '/^vsock_peer: .* ok/p' sockets.console >&2
        kill "$service"
}

# scenario_sockets CONNECTIONS BYTES
scenario_sockets() {
        local service
        mkdir -p sockets.d
        sockets_both_ways "$1" "$2" unix:sockets.d/vsock_5000 dial:sockets.d/vsock --vsock cid=7,socket-dir=sockets.d
        sockets_end
        if [ -e sockets.d/vsock ]; then fail "its socket is gone"; else pass "its socket is gone"; fi
}

# scenario_vhost_sockets CONNECTIONS BYTES: the same in the host's kernel; then the machine is suspended while bytes flow
scenario_vhost_sockets() {
        local service sender rounds=0 failed=0
        modprobe vhost_vsock
        sockets_both_ways "$1" "$2" vsock:4294967295:5000 vsock:77 --vsock cid=77
        "$vmm" run --hypervisor "$hypervisor" --vsock cid=77 "$guest/vmlinuz" >taken.log 2>&1
        same "a context id serves one VM" "1 yes" \
                "$? $(grep -q 'context id 77 belongs to another VM' taken.log && echo yes)"
        "$guest/vsock_peer" put vsock:77:6000 "$2" >host.log 2>&1 &
        sender=$!
        until [ $rounds -ge 5 ] && ! kill -0 $sender 2>/dev/null || [ $failed -gt 0 ]; do
                ask sockets suspend --full && ask sockets resume --full || failed=$((failed + 1))
                rounds=$((rounds + 1))
        done
        same "the machine is suspended while bytes flow, $rounds times" 0 $failed
        wait $sender
        same "each of them arrives" 0 $?
        cat host.log >&2
        sockets_end
}

# A VM of the service's whose config asks for the host's kernel
scenario_service_vhost_sockets() {
        local cid
        modprobe vhost_vsock
        jq -n --arg kernel "$guest/vmlinuz" --arg initrd "$guest/initrd.img" --arg params "$stock_params $(
                )vivarium.test=notify:X_VIVARIUM_STATE=ready,run:vsock_peer+serve+vsock:4294967295:6000" \
                '{$kernel, $initrd, $params, memory_mib: 256, cpus: 1, vsock: "vhost"}' >service.json
        start_vm vhost --hypervisor kvm service.json
        check "the guest of the service's VM listens" await_text vhost.console 'vsock_peer: serving vsock' 150
        same "it told of its payload through the host's kernel" ready "$(vm_get vhost PayloadState)"
        cid=$(vm_get vhost Cid)
        check "the guest is at its context id" "$guest/vsock_peer" get "vsock:$cid:6000" 65536
        same "a client of the service is connected to it" hello \
                "$( (printf '\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0hello'; sleep 2) | timeout 60 vivctl connect vhost 6000)"
        if timeout 60 vivctl connect vhost 6001 </dev/null; then
                fail "a port without a service is refused"
        else
                pass "a port without a service is refused"
        fi
        check "the VM is killed" vivctl kill vhost
}

# Of the RAM of the VM: blocks of 512 bytes that the host has given.
ram_blocks() {
        local pid fd
        read -r pid _ <"/proc/$vm/task/$vm/children"
        for fd in /proc/"$pid"/fd/*; do
                case $(readlink "$fd") in
                /memfd:crosvm_guest*) stat -L -c %b "$fd" && return ;;
                esac
        done
}

# scenario_reporting: pages that the guest has freed leave the host without being asked for
scenario_reporting() {
        local used now limit=49152 # blocks of 512 bytes: 24 MiB of the 90 that were freed may stay with the guest
        vm_begin reporting "module:virtio_balloon,run:dd+if=/dev/zero+of=/tmp/fill+bs=1M+count=90,echo:filled,run:rm+/tmp/fill,echo:again" \
                --balloon-page-reporting
        expect "the guest has used its memory" reporting 'vivarium-guest: reading'
        used=$(ram_blocks)
        echo go >reporting.in
        expect "it frees it" reporting '^step run: ok rm'
        for _ in $(seq "${VIVARIUM_PATIENCE:-240}"); do
                now=$(ram_blocks)
                [ $((used - now)) -lt $((90 * 2048 - limit)) ] || break
                sleep 1
        done
        echo "used: $used blocks, reported: $now blocks" >&2
        if [ $((used - now)) -ge $((90 * 2048 - limit)) ]; then
                pass "what it has freed leaves the host"
        else
                fail "what it has freed leaves the host"
        fi
        echo go >reporting.in
        ends_with "it ends by itself" 0
}

# scenario_balloon ROUNDS
scenario_balloon() {
        local half=134217728 worst=0 failures=0 blocks fill=run:dd+if=/dev/zero+bs=1M+count=90
        vm_begin balloon "module:virtio_balloon,$fill+of=/tmp/fill,run:rm+/tmp/fill,echo:filled,$fill+of=/tmp/again,echo:again"
        expect "the guest has used its memory" balloon 'vivarium-guest: reading'
        for _ in $(seq "$1"); do
                ask balloon balloon --wait $half || failures=$((failures + 1))
                blocks=$(ram_blocks)
                [ "$blocks" -le "$worst" ] || worst=$blocks
                ask balloon balloon --wait 0 || failures=$((failures + 1))
        done
        same "the guest follows the balloon to half of its memory and back $1 times" 0 $failures
        echo "inflated, the host gives at most $worst blocks" >&2
        # the other half, and what is not RAM of the guest's to count
        if [ "$worst" -gt 0 ] && [ "$worst" -le $((half / 512 + 16384)) ]; then
                pass "what it gives up leaves the host"
        else
                fail "what it gives up leaves the host"
        fi
        if ask balloon balloon_stats | grep -q '"total_memory":[0-9]'; then
                pass "it tells how its memory is used"
        else
                fail "it tells how its memory is used"
        fi
        echo go >balloon.in
        expect "it goes on" balloon 'filled go'
        vm_says balloon '^step run: ok .*/tmp/again'
        echo go >balloon.in
        wait "$vm"
        same "it has its memory again and ends by itself" "0 1" "$? $(grep -c 'again go' balloon.console)"
}
