#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets of the host's kernel (vhost-vsock) on KVM, with a stock guest. VIVARIUM_FULL=1: 10,000 connections and 1 GiB.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm VIVARIUM_PATIENCE=150
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$(dirname "$0")/sockets.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        scenario_vhost_sockets 10000 1073741824
else
        scenario_vhost_sockets 40 1048576
fi
