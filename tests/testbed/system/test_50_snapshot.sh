#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots on KVM, with a stock guest.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/snapshot.sh
. "$(dirname "$0")/snapshot.sh"
snap_net=
scenario_snapshot 2
scenario_snapshot_refusals
