#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets and the balloon on KVM, with a stock guest. VIVARIUM_FULL=1: all of what is promised, 10,000 connections, 1 GiB and
# 100 rounds of the balloon.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$(dirname "$0")/sockets.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        scenario_sockets 10000 1073741824
        scenario_balloon 100
else
        scenario_sockets 200 16777216
        scenario_balloon 3
fi
