#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets of the host's kernel for a VM of the service's.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm VIVARIUM_PATIENCE=150
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$(dirname "$0")/sockets.sh"
scenario_service_vhost_sockets
