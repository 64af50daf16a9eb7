#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The control socket on KVM: buttons, events, hotplug, sizes, suspension under load, with a stock guest.
# VIVARIUM_SUSPEND_ROUNDS (20): how often the loaded guest is suspended.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
scenario_buttons
scenario_disks
scenario_suspend "${VIVARIUM_SUSPEND_ROUNDS:-20}"
scenario_state
