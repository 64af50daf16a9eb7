#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Network cards that the VMM serves on KVM: a TAP interface with offloads and without, and passt.
# VIVARIUM_NET_SECONDS (1): length of each TCP stream.
[ -n "${VIVARIUM_NETNS:-}" ] || VIVARIUM_NETNS=1 exec unshare -n "$0"
. "$(dirname "$0")/lib.sh"
modprobe tun
# shellcheck disable=SC2034 # read by network.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/network.sh
. "$(dirname "$0")/network.sh"
scenario_tap
scenario_user
