#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real guest on the software processor under the real service: it finds in SMBIOS where to tell of its payload, and it is
# stopped by its power button.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { cat show log >&2; }

need_guest vsock_peer
start_bus
start_daemon
shows() { vivctl show a >show 2>&1 && grep -q "$1" show; }
vivctl run --detach --name a --hypervisor soft --mem 128 --boot-timeout 300 --kernel "$guest/vmlinuz" \
        --initrd "$guest/initrd.img" --params "console=ttyS0 vivarium.test=notify:X_VIVARIUM_STATE=ready,button:Power_Button,notify:EXIT_STATUS=4,poweroff"
check "the guest tells that its payload is ready" eventually shows 'payload ready'
says_it_waits() { grep -aq 'waiting for the Power' run/vm/2048/console; }
check "it waits for its button" eventually says_it_waits
check "it stands still" vivctl suspend a
check "and goes on" vivctl resume a
check "it is stopped" vivctl stop --timeout 180 a
check "its power button was enough" shows 'Stopped by: the guest.s power button'
check "its payload has finished" shows 'payload finished'
[ $failed -eq 0 ]
