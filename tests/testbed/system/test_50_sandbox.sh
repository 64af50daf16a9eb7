#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The VMM's sandbox on KVM, with a stock guest, and that of a VM which the service has started.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/sandbox.sh
. "$(dirname "$0")/sandbox.sh"
scenario_sandbox
scenario_forbidden

# In what the service's unit leaves it.
check "a VM of the service runs" start_vm served --kernel "$guest/tiny.elf" --mem 64 --params tiny=h:running
check "its guest too" await_text served.console running
pid=$(vm_get served Pid)
same "it has no capability, no way to new ones, and filters" "0000000000000000 1 2" \
        "$(sed -n 's/^\(CapEff\|NoNewPrivs\|Seccomp\):[[:space:]]*//p' "/proc/$pid/status" | xargs)"
same "it has namespaces of its own" 4 "$(namespaces_of "$pid")"
same "whose root is empty" proc "$(ls "/proc/$pid/root/")"
check "it is killed as well as any" vivctl kill served
