#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guest memory that is moved away and brought back, on the software processor.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

# ---- what the host does not permit, and what makes no sense ----
"$vmm" run --swap /nowhere kernel 2>refusal
same "a directory that is not there is an error" 1 $?
check "that names it" grep -q -- '--swap: /nowhere: cannot make an unnamed file' refusal
"$vmm" run --swap . --lock-guest-memory kernel 2>refusal
same "memory cannot be both locked and moved" 35 $?
check "and the reason is told" grep -q -- '--swap and --lock-guest-memory exclude each other: ' refusal
# Who is nobody, with nothing: the VMM may be where nobody can read it.
if nobody=$(command -v setpriv) && [ "$(id -u)" = 0 ] &&
        chmod 755 . && mkdir -m 777 open && cp "$vmm" open/vmm &&
        "$nobody" --reuid 65534 --clear-groups --inh-caps=-all open/vmm --version >version 2>&1 && [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ]; then
        "$nobody" --reuid 65534 --clear-groups --inh-caps=-all open/vmm run --swap open kernel 2>refusal
        same "without the right to follow memory it does not start" 1 $?
        check "and says what it takes" grep -q 'needs /dev/userfaultfd .* or CAP_SYS_PTRACE' refusal
else
        skip "without the right to follow memory it does not start" "nobody cannot run the VMM here"
fi

# ---- in a guest ----
need_guest initrd.img
"$vmm" run --hypervisor soft --swap . kernel 2>refusal
! grep -q -e userfaultfd -e CAP_SYS_PTRACE refusal || skip_all "$(cat refusal)"
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/swap.sh
. "$scenarios/swap.sh"
scenario_swap
scenario_swap_snapshot
[ $failed -eq 0 ]
