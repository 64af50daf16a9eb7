#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Frames that the host's kernel moves (vhost-net). VIVARIUM_NET_SECONDS (1): length of each TCP stream.
[ -n "${VIVARIUM_NETNS:-}" ] || VIVARIUM_NETNS=1 exec unshare -n "$0"
. "$(dirname "$0")/lib.sh"
modprobe tun
modprobe vhost_net
# shellcheck disable=SC2034 # read by network.sh
vmm=vivarium-vmm hypervisor=kvm VIVARIUM_PATIENCE=150
# shellcheck source=tests/testbed/system/network.sh
. "$(dirname "$0")/network.sh"
scenario_vhost
