#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that abuses every device, on KVM.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by hostile.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/hostile.sh
. "$(dirname "$0")/hostile.sh"
scenario_hostile 2 1 2
