#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets and the memory balloon of real VMs on the software processor, with a stock kernel. The same scenarios run on KVM in
# tests/testbed/. VIVARIUM_FULL=1: all of what is promised, 10,000 connections, 1 GiB and 100 rounds of the balloon.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest vsock_peer
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$scenarios/sockets.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        scenario_sockets 10000 1073741824
        scenario_balloon 100
else
        scenario_sockets 200 16777216
        scenario_balloon 3
fi
# A process of the host sizes the balloon: half of the memory and back, how that is used, and then what it should not say.
scenario_balloon_control() {
        local peer half='{"Adjust":{"num_bytes":134217728,"allow_failure":true}}'
        python3 - "$half" "${half/134217728/0}" '"Stats"' '"nonsense"' >peer.log 2>&1 <<'PYTHON' &
import os, socket, sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("unready")
listener.listen()
os.rename("unready", "peer.sock")  # who sees it can connect
connection, _ = listener.accept()
heard = ""
while heard != '"Ready"':
    heard = connection.recv(4096).decode()
    print(heard, flush=True)
for message in sys.argv[1:]:
    connection.send(message.encode())
    print(connection.recv(4096).decode() or "the end", flush=True)
PYTHON
        peer=$!
        eventually test -S peer.sock
        vm_begin told "module:virtio_balloon,echo:up" --balloon-control peer.sock
        wait $peer
        expect "a guest whose balloon a process sizes is up" told 'vivarium-guest: reading'
        check "the process hears of the driver" grep -qx '"Ready"' peer.log
        check "and when the guest has given up half of its memory" grep -qx '{"Adjusted":{"num_bytes":134217728}}' peer.log
        check "and has it back" grep -qx '{"Adjusted":{"num_bytes":0}}' peer.log
        check "it hears how the memory is used" grep -q '^{"Stats":{"stats":{.*"total_memory":[0-9].*},"balloon_actual":0}}$' peer.log
        check "what it should not say is its end" grep -qx "the end" peer.log
        check "which the log explains" grep -q -- '--balloon-control peer.sock: .*; disconnecting it' told.log
        ask told balloon 4096 >answer
        check "the control socket does not size that balloon" grep -q "the balloon is told by --balloon-control" told.log answer
        echo go >told.in
        ends_with "the guest goes on, and ends by itself" 0
}
vm_begin alone poweroff --balloon-control nobody.sock
ends_with "a process that is not there is an error at the start" 1
check "which names the option" grep -q -- '--balloon-control: cannot connect to nobody.sock' alone.log
scenario_balloon_control
[ $failed -eq 0 ]
