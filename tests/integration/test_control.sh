#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The control socket of real VMs on the software processor, with a stock kernel. The same scenarios run on KVM in tests/testbed/.
# VIVARIUM_SUSPEND_ROUNDS (30): how often the loaded guest is suspended.
set -u
export LC_ALL=C
vmm=$VIVARIUM_BUILD/vivarium-vmm guest=$VIVARIUM_GUEST hypervisor=soft
scenarios=$(realpath "$(dirname "$0")/../testbed/system/control.sh")
work=$(mktemp -d)
cd "$work" || exit 1
trap 'kill $(jobs -p) 2>kill.log; wait; rm -rf "$work"' EXIT
passed=0 failed=0

# Marks that tests/run-unit.sh counts.
pass() { passed=$((passed + 1)) && echo "[       OK ] $1"; }
fail() { failed=$((failed + 1)) && echo "[  FAILED  ] ${1// /_}"; }
same() { # SENTENCE EXPECTED ACTUAL
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" && printf 'expected: %s\nactual:   %s\n' "$2" "$3"; fi
}

if [ ! -e "$guest/vmlinuz" ] || ! gzip -dc "$guest/initrd.img" | cpio -it --quiet | grep -q evdev; then
        echo "SKIP no stock guest in $guest: make guest"
        echo "[  SKIPPED ] test_control: no stock guest"
        exit 0
fi
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios"
scenario_buttons
scenario_disks
scenario_suspend "${VIVARIUM_SUSPEND_ROUNDS:-30}"
scenario_state
[ $failed -eq 0 ]
