#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Network cards and shared folders on the software processor, with a stock kernel. The same scenarios run on KVM in
# tests/testbed/. VIVARIUM_NET_SECONDS (1): length of each TCP stream; VIVARIUM_FOLDER_MIB (16): size of the shared files.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest netpeer
need_network
# A card on a descriptor that comes along, as a manager would plug it in. $1: the guest's name, as of ask()
plug_by_descriptor() {
        python3 - "$1.sock" <<'PYTHON'
import array, fcntl, json, os, socket, struct, sys
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x2, 0x1000, 0x4000
def plug(**keys):
    fds = array.array("i", [tap])
    vm.sendmsg([json.dumps({"HotPlugNetCommand": {"AddTapFd": {"tap": 0, **keys}}}).encode()],
               [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    return vm.recv(65536).decode()
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
vm = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
vm.connect(sys.argv[1])
for wrong in "tap-name=tap0", "user", "mac=01:00:00:00:00:00", "nonsense":
    assert "ErrString" in plug(net=wrong), wrong
print(plug(net="mac=02:00:00:00:00:07"))
PYTHON
}

# name_card VM-OPTIONS...: what a VM answers that is asked to attach to tap0 by its name, as crosvm's clients ask
name_card() {
        ip link del tap0 2>/dev/null
        ip tuntap add dev tap0 mode tap vnet_hdr
        timeout 240 "$vmm" --extended-status run --hypervisor soft --mem 64 --socket named.sock --suspended "$@" \
                "$guest/tiny.elf" >named.console 2>named.log &
        vm_answers named
        python3 -c 'import socket
vm = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
vm.connect("named.sock")
vm.send(b"{\"HotPlugNetCommand\":{\"AddTap\":\"tap0\"}}")
print(vm.recv(65536).decode())'
        "$vmm" stop named.sock
        wait $!
}

scenario_names() {
        case $(name_card) in
        *sandbox*) pass "an interface's name is of no use in the sandbox, which says so" ;;
        *) fail "an interface's name is of no use in the sandbox, which says so" ;;
        esac
        # the devices are suspended, so this is as far as it goes
        case $(name_card --disable-sandbox) in
        *"the machine is suspended"*) pass "outside of it the VMM attaches by the name" ;;
        *) fail "outside of it the VMM attaches by the name" ;;
        esac
}

# The interface that the VMM makes itself, in words of older versions of crosvm; it is the VM's as long as that lives.
scenario_made() {
        local peer
        ip link set lo up
        begin_peer peer.log "$guest/netpeer" listen 5001
        peer=$!
        : >made.console
        (
                file_says made.console '^waiting for event 02'
                ip addr show dev vmtap0 >made.interface 2>&1
                ask made.control gpe 2
        ) &
        guest_runs made "net:192.0.2.2/30,run:netpeer+echo+192.0.2.1+5001+1,gpe:02,poweroff" --socket made.control.sock \
                --host-ip 192.0.2.1 --netmask 255.255.255.252 --mac 02:00:5e:00:00:07
        wait $!
        kill $peer
        same "a guest on an interface that the VMM made powers off" 0 $status
        says "it reaches the host at the address that was given" made "ok netpeer\+echo"
        case $(<made.interface) in
        *UP*02:00:5e:00:00:07*192.0.2.1/30*) pass "the interface is up, with the addresses and the mask" ;;
        *) fail "the interface is up, with the addresses and the mask" && cat made.interface ;;
        esac
        if ip link show vmtap0 >made.after 2>&1; then fail "it goes with the VM"; else pass "it goes with the VM"; fi
        "$vmm" run --host-ip 192.0.2.1 --netmask 255.0.0.0 k 2>made.refused
        same "a card that lacks its hardware address is refused" 35 $?
}

# shellcheck source=tests/testbed/system/network.sh
. "$scenarios/network.sh"
scenario_names
scenario_made
plug_again=plug_by_descriptor
scenario_cards
scenario_tap
scenario_packed
scenario_user
scenario_folder "${VIVARIUM_FOLDER_MIB:-16}"
scenario_folder_lost
[ $failed -eq 0 ]
