# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sockets between guest and host, and the memory balloon, with Debian's drivers: sourced by the integration test (software
# processor) and by the system test (KVM), behind control.sh, which has what is used here.

# scenario_sockets CONNECTIONS BYTES
scenario_sockets() {
        local n=$1 bytes=$2 peer=$guest/vsock_peer service
        mkdir -p sockets.d
        "$peer" serve unix:sockets.d/vsock_5000 >service.log 2>&1 &
        service=$!
        vm_begin sockets "module:vmw_vsock_virtio_transport,run:vsock_peer+put+vsock:2:5000+$bytes,run:vsock_peer+get+vsock:2:5000+$bytes,run:vsock_peer+many+vsock:2:5000+$n,run:vsock_peer+get+vsock:2:5001+1,run:vsock_peer+serve+vsock:4294967295:6000" \
                --vsock cid=7,socket-dir=sockets.d
        expect "the guest sends $bytes bytes, and each is right" sockets "vsock_peer: put $bytes ok"
        expect "it gets as many" sockets "vsock_peer: get $bytes ok"
        expect "it has $n connections at once" sockets "vsock_peer: many $n ok"
        expect "a port of the host without a service is refused" sockets 'vsock:2:5001: Connection reset'
        expect "a service in the guest listens" sockets 'vsock_peer: serving vsock'
        for verb in put get; do
                if "$peer" $verb dial:sockets.d/vsock:6000 "$bytes" >host.log 2>&1; then
                        pass "the host does $verb as well"
                else
                        fail "the host does $verb as well" && cat host.log >&2
                fi
        done
        if "$peer" many dial:sockets.d/vsock:6000 "$n" >host.log 2>&1; then
                pass "the host has $n connections at once"
        else
                fail "the host has $n connections at once" && cat host.log >&2
        fi
        if "$peer" get dial:sockets.d/vsock:6001 1 >host.log 2>&1; then
                fail "a port of the guest without a service is refused"
        else
                pass "a port of the guest without a service is refused"
        fi
        ask sockets stop
        wait "$vm"
        same "the VM stops" 0 $?
        if [ -e sockets.d/vsock ]; then fail "its socket is gone"; else pass "its socket is gone"; fi
        kill "$service"
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

# scenario_balloon ROUNDS
scenario_balloon() {
        local half=134217728 worst=0 failures=0 blocks fill=run:dd+if=/dev/zero+of=/tmp/fill+bs=1M+count=90
        vm_begin balloon "module:virtio_balloon,$fill,run:rm+/tmp/fill,echo:filled,$fill,echo:again"
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
        vm_says balloon 'vivarium-guest: reading$'
        echo go >balloon.in
        wait "$vm"
        same "it has its memory again and ends by itself" "0 1" "$? $(grep -c 'again go' balloon.console)"
}
