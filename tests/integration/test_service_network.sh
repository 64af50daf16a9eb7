#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks that the real service makes, through the real vivarium-netd, in a network namespace of their own: real guests on
# the software processor speak to the host and to each other, and nothing is left of them, whoever was killed when.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 40 log >&2; }

need_guest netpeer
need_network
start_bus
cat >netd.conf <<CONF
[Network default]
IPv4=10.77.0.1/24
IPv6=fd77::1/64
[Network closed]
Mode=isolated
CONF
ask() { vivctl "$@" >answer 2>&1; }
start_service() { start_daemon --netd-socket="$work/netd"; }
netd=
start_netd() {
        rm -f "$work/netd"
        "$build/vivarium-netd" --socket="$work/netd" --config="$work/netd.conf" --networkd-dir="$work/networkd" \
                --linger=1 2>>log &
        netd=$!
        eventually listening "$work/netd"
}
die() { # PROCESS
        kill -9 "$1"
        wait "$1" 2>>log
}
links() { ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort | xargs; }
links_are() { [ "$(links)" = "$1" ]; }
has_link() { ip link show dev "$1" >link.txt 2>&1; }
is_state() { vivctl show "$1" >show 2>&1 && grep -Eq "$2" show; }

# vm NAME NETWORK STEPS: a detached VM
vm() {
        local name=$1 steps=$3
        printf '{"network": %s, "memory_mib": 128}\n' "$2" >"$name.json"
        ask run --detach --name "$name" --hypervisor soft --boot-timeout 0 --kernel "$guest/vmlinuz" \
                --initrd "$guest/initrd.img" --params "console=ttyS0 quiet panic=-1 vivarium.test=$steps" "$name.json"
}

ip link set lo up
before=$(links)
start_netd
start_service
streams=run:netpeer+send+10.77.0.1+5001+1,run:netpeer+receive+fd77::1+5001+1
"$guest/netpeer" listen 5001 2>>log &
check "a VM with a network starts" vm a true "net:10.77.0.2/24,net:fd77::2/64,$streams,poweroff"
same "its interface and the network's bridge are there" "$before viv-default vm2048-0" "$(links)"
check "the bridge has its addresses" sh -c "ip addr show dev viv-default >'$work/addr' && grep -q 10.77.0.1/24 '$work/addr' &&
        grep -q fd77::1/64 '$work/addr'"
check "the interface is in the bridge and says whose it is" sh -c \
        "ip link show dev vm2048-0 >'$work/link' && grep -q 'master viv-default' '$work/link' && grep -q 'alias vivarium vm .* a$' '$work/link'"
check "systemd-networkd is told of the network" grep -q '^DHCPServer=yes' "$work/networkd/70-viv-default.network"
until_dead() { eventually is_state "$1" 'dead|failed'; }
check "the guest powers off" until_dead a
for step in "send 10.77.0.1" "receive fd77::1"; do
        # shellcheck disable=SC2086
        set -- $step
        check "every byte passes, $1 $2" sh -c "\"$build/vivctl\" --address=$address --json=short show a | grep -q 'ok netpeer.*$1.*$2'"
done
check "its interface is gone before its death is told" refuses has_link vm2048-0
check "the bridge goes when it has been empty for a while" eventually links_are "$before"
check "and systemd-networkd's file" eventually refuses test -e "$work/networkd/70-viv-default.network"

# Who is killed when
check "a VM stays" vm b true hang
with_b="$before viv-default vm2049-0"
same "with an interface of its own" "$with_b" "$(links)"
die "$daemon"
same "which outlives the service" "$with_b" "$(links)"
start_service
same "and the next one" "$with_b" "$(links)"
die "$netd"
same "and the network service" "$with_b" "$(links)"
start_netd
check "a second VM joins" vm c '{"isolated": true, "queues": 2, "mac": "02:00:00:00:00:99"}' hang
same "the same bridge" "$with_b vm2050-0" "$(links)"
check "its port is isolated" sh -c "bridge -d link show dev vm2050-0 | grep -q 'isolated on'"
check "a VM in another network starts" vm d '[{"name": "closed"}, {}]' hang
same "with a card in each" "$before viv-closed viv-default vm2049-0 vm2050-0 vm2051-0 vm2051-1" "$(links)"
check "whose addresses were chosen from the pool" sh -c "ip addr show dev viv-closed | grep -q 'inet 10.86.'"
check "and lead nowhere" refuses grep -q IPMasquerade "$work/networkd/70-viv-closed.network"
die "$daemon"
kill -9 "$(sed -n 's/^spawned \([0-9]*\) .*/\1/p' "$work/run/vm/2049/keeper")"
check "a VMM that is killed while there is no service takes its interface along" eventually refuses has_link vm2049-0
start_service
check "VMs are killed" ask kill c
interfaces_of() { vivctl --json=short show "$1" | jq -c .NetworkInterfaces; }
same "the bus tells which interfaces a VM has" '["vm2051-0","vm2051-1"]' "$(interfaces_of d)"
check "one after the other" ask kill d
same "and that one that is dead has none" '[]' "$(interfaces_of d)"
check "nothing is left of all of them" eventually links_are "$before"

check "a network that there is not is refused by name" refuses vm e '{"name": "nowhere"}' hang
check "with a sentence" grep -q 'there is no network "nowhere"' answer
ip link add viv-taken type dummy 2>>log || ip link add viv-taken type bridge
printf '[Network taken]\n' >>netd.conf
ip link set viv-taken alias "somebody else's"
die "$netd"
start_netd
check "an interface of somebody else is left alone" refuses vm f '{"name": "taken"}' hang
check "and named" grep -q "viv-taken is there and is not this service's" answer
ip link del viv-taken
kill -STOP "$netd"
vm g true hang &
asker=$!
killed() { vivctl kill g >killed 2>&1; }
check "a start that waits can be killed" eventually killed
wait $asker
check "and is said to have been" grep -q 'killed before the VMM ran' answer
kill -CONT "$netd"
die "$netd"
rm -f "$work/netd"
check "without the network service a VM with a network does not start" refuses vm h true hang
check "and says why" grep -q 'reach vivarium-netd' answer
check "one without a network does" vm i false hang
check "and ends" ask kill i
check "a network of its own sockets needs no service" vm j '{"type": "user"}' "dhcp,poweroff"
check "and guests have addresses in it" until_dead j
start_netd
check "no interface is left in the end" eventually links_are "$before"
[ $failed -eq 0 ]
