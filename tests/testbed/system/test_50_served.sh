#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks that QEMU's storage daemon serves, on KVM with a stock guest. What Debian 12 does not have is in the integration test,
# and here if somebody puts it into the host.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/vhost_user.sh
. "$(dirname "$0")/vhost_user.sh"
scenario_served_disk
