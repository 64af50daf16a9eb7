#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every device in the sandbox, on the software processor, in a network namespace of its own.
set -u
export LC_ALL=C
# shellcheck disable=SC2034 # read by control.sh
vmm=$VIVARIUM_BUILD/vivarium-vmm guest=$VIVARIUM_GUEST hypervisor=soft
if [ ! -e "$guest/vmlinuz" ] || [ ! -x "$guest/netpeer" ]; then
        echo "SKIP no stock guest in $guest: make guest"
        echo "[  SKIPPED ] test_devices: no stock guest"
        exit 0
fi
if [ -z "${VIVARIUM_NETNS:-}" ]; then
        if ! unshare -n ip tuntap add dev tap0 mode tap; then
                echo "SKIP no TAP interfaces in a network namespace of our own"
                echo "[  SKIPPED ] test_devices: no TAP interfaces"
                exit 0
        fi
        VIVARIUM_NETNS=1 exec unshare -n "$0"
fi
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
cd "$work" || exit 1
trap 'kill $(jobs -p) 2>kill.log; wait; rm -rf "$work"' EXIT
failed=0

# Marks that tests/run-unit.sh counts.
pass() { echo "[       OK ] $1"; }
fail() { failed=$((failed + 1)) && echo "[  FAILED  ] ${1// /_}"; }
skip() { echo "SKIP $1: $2" && echo "[  SKIPPED ] ${1// /_}"; }
same() { # SENTENCE EXPECTED ACTUAL
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" && printf 'expected: %s\nactual:   %s\n' "$2" "$3"; fi
}

# shellcheck source=tests/testbed/system/control.sh
. "$here/../testbed/system/control.sh"
# shellcheck source=tests/testbed/system/devices.sh
. "$here/../testbed/system/devices.sh"
same "the list of devices is that of the sources" "$all_devices" \
        "$(sed -n 's/.*\.name = "\(virtio-[a-z]*\)".*/\1/p' "$here"/../../vmm/virtio/*.c | grep -v virtio-pci | sort | xargs)"
scenario_devices
[ $failed -eq 0 ]
