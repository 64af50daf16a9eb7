#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets and the memory balloon of real VMs on the software processor, with a stock kernel. The same scenarios run on KVM in
# tests/testbed/. VIVARIUM_FULL=1: all of what is promised, 10,000 connections, 1 GiB and 100 rounds of the balloon.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest vsock_peer
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$scenarios/sockets.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        scenario_sockets 10000 1073741824
        scenario_balloon 100
else
        scenario_sockets 200 16777216
        scenario_balloon 3
fi
[ $failed -eq 0 ]
