#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots on KVM, with a stock guest, whose disk and card have packed rings.
[ -n "${VIVARIUM_NETNS:-}" ] || VIVARIUM_NETNS=1 exec unshare -n "$0"
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"
# shellcheck source=tests/testbed/system/snapshot.sh
. "$(dirname "$0")/snapshot.sh"
modprobe tun
ip link set lo up
ip tuntap add dev tap0 mode tap vnet_hdr
ip addr add 10.9.0.1/24 dev tap0
ip link set tap0 up
snap_net="--net tap-name=tap0,packed-queue"
scenario_snapshot 2
scenario_snapshot_refusals
