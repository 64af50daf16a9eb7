#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One part of parts.sh in the testbed's host, where this is a system test of the name test_50_soak_PART.sh.
[ -n "${VIVARIUM_NETNS:-}" ] || VIVARIUM_NETNS=1 exec unshare -n "$0"
. "$(dirname "$0")/lib.sh"
modprobe -a tun vhost_net vhost_vsock
# shellcheck disable=SC2034 # read by parts.sh
scenarios=$(dirname "$0") vmm=vivarium-vmm hypervisor=kvm
work=$(mktemp -d -p /dev/shm) # large enough for what the logs need not have
cd "$work" || exit 1
trap 'rm -rf "$work"' EXIT
. "$scenarios/soak.env"
# shellcheck source=tests/soak/devices/parts.sh
. "$scenarios/parts.sh"
part "${name#test_50_soak_}"
