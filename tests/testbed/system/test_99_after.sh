#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What all the tests together left behind.
. "$(dirname "$0")/lib.sh"

pid=$(systemctl show -P MainPID vivariumd.service)
same "the daemon never died" 0 "$(systemctl show -P NRestarts vivariumd.service)"
same "no VMM is left" "" "$(pgrep -a vivarium-vmm)"
at_most "memory of the daemon in KiB is still within its promise" 4096 "$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")"
same "nothing crashed on this host" "" "$(journalctl -q --no-pager -k -g 'segfault|general protection|BUG:|Oops')"
