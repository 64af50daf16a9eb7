#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real service on a host whose VMM is a crosvm: a recorder in its place, which writes down its command line and stops.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { cat line out log; }

start_bus
cat >crosvm <<RECORDER
#!/bin/sh
printf '%s ' "\$@" >$work/line
RECORDER
chmod 755 crosvm
echo kernel >kernel
vmm=$work/crosvm

ask() { vivctl "$@" >out 2>&1; }
said() { grep -q -e "$1" out; }
recorded() { grep -q -e "$1" line; }
silent() { ! recorded "$1"; }

start_daemon
: >line
check "a VM runs to its end" ask run --name a --kernel kernel
check "with a control socket and sockets of the host's kernel" recorded '--socket /proc/self/fd/[0-9]* .*--vsock cid=[0-9]* '
check "and without our additions" silent 'socket-dir\|--hypervisor soft'
check "and without a sandbox that the unit forbids" recorded '--disable-sandbox '
operations() { vivctl --json=short capabilities | jq -r '.operations | join(" ")'; }
same "its operations are those of a crosvm" "ConnectVsock GetMemoryBalloon ResizeDisk Resume SetMemoryBalloon Suspend TrimMemory" "$(operations)"
ask run --name b --hypervisor soft --kernel kernel
check "the software processor is refused, and why" said 'the VMM is a crosvm, which has no software processor'
check "the capabilities say so, too" ask capabilities
check "by hypervisor" said 'which has no software processor'
stop_daemon

start_daemon --vmm-dialect=crosvm-2023
: >line
check "an older crosvm runs as well" ask run --name a --kernel kernel
check "with options of its time" recorded '--cid [0-9]* '
check "and no later ones" silent '--vsock\|--name'
stop_daemon

"$build/vivariumd" --vmm-dialect=qemu 2>out
check "an unknown dialect is refused" said "expected vivarium, crosvm or crosvm-2023, not 'qemu'"
[ $failed -eq 0 ]
