#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What all the tests together left behind.
. "$(dirname "$0")/lib.sh"

journalctl --sync
pid=$(systemctl show -P MainPID vivariumd.service)
# SIGKILL is the tests' own, SIGABRT the watchdog's in the one that stops the daemon.
same "the daemon never died by itself" "" "$(journalctl -q --no-pager -o cat -u vivariumd.service -g 'Main process exited' |
        grep -vE 'status=(9/KILL|6/ABRT)')"
same "no VMM is left" "" "$(pgrep -a vivarium-vmm)"
# What it has to say of a VM that is gone takes some 4 KiB, most of it the last lines of its console.
at_most "memory of the daemon in KiB is still within its promise, and 6 for each death on record" \
        $((4096 + 6 * $(vivctl --no-legend history | wc -l))) "$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")"
# Debian's virtiofsd now and then falls to the hostile guest; it is not ours.
same "nothing else crashed on this host" "" "$(journalctl -q --no-pager -k -g 'segfault|general protection|BUG:|Oops' |
        grep -v 'virtiofsd\[')"
