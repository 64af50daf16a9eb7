#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A user without any rights has a VM with a network: his own bus and service, and nothing of root's anywhere. The network
# service is none of it: the guest's packets become his own sockets.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 30 log answer console >&2; }

need_guest netpeer
[ "$(id -u)" = 0 ] || skip_all "only root can become somebody else"
command -v passt >passt.path || skip_all "no passt: make deps"
need_network

# A user of every Debian who has no processes. He may read nothing but what he is given.
uid=$(id -u games) || skip_all "no user games"
chmod 755 .
mkdir bin files
cp "$build/vivariumd" "$build/vivarium-launch" "$build/vivarium-vmm" "$build/vivctl" bin
cp "$guest/vmlinuz" "$guest/initrd.img" files
chmod 755 files bin bin/*
chmod 644 files/*
# VMs do not end with their service.
trap 'kill $(jobs -p) 2>>kill.log; wait; pkill -KILL -u "$uid" -f "^$work/bin/vivarium-"; rm -rf "$work"' EXIT
install -d -o "$uid" -g "$uid" -m 700 home home/run
# In the background a shell stands before it: only what takes its place ends with the script's jobs.
as_user() { (become_user "$@"); }
become_user() {
        exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --bounding-set=-all env -i PATH="$PATH" HOME="$work/home" \
                XDG_RUNTIME_DIR="$work/home/run" DBUS_SESSION_BUS_ADDRESS="unix:path=$work/home/bus" "$@"
}
setpriv --reuid="$uid" --regid="$uid" --clear-groups --bounding-set=-all true || skip_all "no capabilities to give up"
ask() { as_user timeout 200 "$work/bin/vivctl" --user "$@" >answer 2>&1; }

# What leads to the world: an interface with a default route, and an address that is reached through it.
ip link set lo up
ip tuntap add dev up0 mode tap
ip addr add 192.0.2.2/24 dev up0
ip link set up0 up
ip addr add 198.51.100.1/32 dev lo
ip route add default via 192.0.2.1
"$guest/netpeer" listen 5001 >>log 2>&1 &

cat >bus.conf <<CONF
<busconfig>
  <type>session</type>
  <listen>unix:path=$work/home/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
CONF
become_user dbus-daemon --config-file="$work/bus.conf" --nofork --nopidfile 2>bus.log &
eventually listening "$work/home/bus"
become_user "$work/bin/vivariumd" --user --vmm="$work/bin/vivarium-vmm" --launcher="$work/bin/vivarium-launch" 2>>log &
check "the service serves its user" eventually ask list
[ $failed -eq 0 ] || exit 1

echo '{"network": {"type": "user"}, "memory_mib": 192}' >net.json
check "a VM with a network starts" ask run --detach --name a --hypervisor soft --boot-timeout 0 --kernel "$work/files/vmlinuz" \
        --initrd "$work/files/initrd.img" --params "console=ttyS0 quiet panic=-1 vivarium.test=dhcp,run:netpeer+send+198.51.100.1+5001+1,hang" \
        net.json
[ $failed -eq 0 ] || exit 1
keep_console() { cat home/run/vivarium/vm/*/console >console 2>>log; }
says() { keep_console && grep -aqE -- "$1" console; }
check "its guest has an address" eventually says '^dhcp 192.0.2.2/24'
check "it reaches the host" eventually says 'ok netpeer.*send'
vmm_pid=$(ask --json=short show a && jq .Pid answer)
same "its VMM is the user's" "$uid" "$(stat -c %u "/proc/$vmm_pid")"
same "without a capability" 0000000000000000 "$(sed -n 's/^CapEff:\t//p' "/proc/$vmm_pid/status")"
runs() { pgrep -u "$uid" -r D,R,S "$@" >>log 2>&1; } # zombies do not
passes() { runs -x 'passt(.avx2)?'; }
keeps() { runs -f "^$work/bin/vivarium-"; }
check "and so is what passes the packets on" passes
check "and what keeps the VM" keeps
echo '{"network": {"type": "bridge"}}' >bridge.json
check "a network of the system's is refused" refuses ask run --detach --name b --hypervisor soft --kernel "$work/files/vmlinuz" \
        bridge.json
check "the VM ends" ask kill a
is_alone() { ! passes && ! keeps; }
check "and all of it" eventually is_alone
check "its end is in the user's home" test -s home/.local/state/vivarium/history
[ $failed -eq 0 ]
