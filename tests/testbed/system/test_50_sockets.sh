#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets that the VMM serves and the balloon on KVM, with a stock guest.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$(dirname "$0")/sockets.sh"
scenario_sockets 40 1048576
scenario_balloon 2
