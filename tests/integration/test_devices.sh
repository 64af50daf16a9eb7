#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every device in the sandbox, on the software processor, in a network namespace of its own.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest netpeer
need_network
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/devices.sh
. "$scenarios/devices.sh"
same "the list of devices is that of the sources" "$all_devices" \
        "$(sed -n 's/.*\.name = "\(virtio-[a-z]*\)".*/\1/p' "$here"/../../vmm/virtio/*.c | grep -v virtio-pci | sort | xargs)"
scenario_devices
[ $failed -eq 0 ]
