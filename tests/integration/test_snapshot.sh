#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots of a stock guest on the software processor. The same scenarios run on KVM in tests/testbed/.
# VIVARIUM_SNAPSHOT_CPUS (2): numbers of processors to try.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system

need_guest vsock_peer
gzip -dc "$guest/initrd.img" | cpio -i --quiet --to-stdout init | grep -q step_count || skip_all "an old guest in $guest: make guest"
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/snapshot.sh
. "$scenarios/snapshot.sh"
snap_net=
if [ -n "${VIVARIUM_NETNS:-}" ] || unshare -n ip tuntap add dev tap0 mode tap 2>tap.log; then
        need_network
        ip tuntap add dev tap0 mode tap vnet_hdr && ip addr add 10.9.0.1/24 dev tap0 && ip link set tap0 up
        snap_net="--net tap-name=tap0,packed-queue"
fi
for cpus in ${VIVARIUM_SNAPSHOT_CPUS:-2}; do
        scenario_snapshot "$cpus"
done
scenario_snapshot_refusals
[ $failed -eq 0 ]
