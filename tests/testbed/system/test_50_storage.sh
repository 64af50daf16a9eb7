#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SCSI disks and directories of the host on KVM, with a stock guest.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/storage.sh
. "$(dirname "$0")/storage.sh"
scenario_scsi
scenario_directories
