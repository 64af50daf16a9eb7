#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dumps and Debian's gdb on KVM, with a stock guest. QEMU's SVM does not take a guest's breakpoints from DR7 and gives int3 to
# the guest (tests/unit/vmm/hv/test_debugger.c), so that in such a host it is steps, registers and memory.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/debug.sh
. "$(dirname "$0")/debug.sh"
# shellcheck disable=SC2086 # several
scenario_ramdump $debugged_symbols
scenario_gdb_attach dumped
if grep -q 'QEMU TCG' /proc/cpuinfo; then
        skip "breakpoints of gdb on KVM" "this host's processor is QEMU's"
else
        scenario_gdb dumped
fi
