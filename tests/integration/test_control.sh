#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The control socket of real VMs on the software processor, with a stock kernel. The same scenarios run on KVM in tests/testbed/.
# VIVARIUM_SUSPEND_ROUNDS (30): how often the loaded guest is suspended.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest
gzip -dc "$guest/initrd.img" | cpio -it --quiet | grep -q evdev || skip_all "an old guest in $guest: make guest"
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
scenario_buttons
scenario_disks
scenario_hotplug_slots
scenario_suspend "${VIVARIUM_SUSPEND_ROUNDS:-30}"
scenario_state
[ $failed -eq 0 ]
