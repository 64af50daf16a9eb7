#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dumps and Debian's gdb on KVM, with a stock guest. QEMU's SVM does not take a guest's breakpoints from DR7 and gives int3 to
# the guest, so that in such a host it is steps, registers and memory: unless the unit tests find that this QEMU does better.
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
takes_breakpoints() {
        LD_LIBRARY_PATH=$tests/unit timeout 400 "$tests/unit/test_debugger" >units.log 2>&1 && ! grep -q SKIPPED units.log
}
if grep -q 'QEMU TCG' /proc/cpuinfo && ! takes_breakpoints; then
        skip "breakpoints of gdb on KVM" "the SVM of this host's QEMU takes none"
else
        scenario_gdb dumped
fi
