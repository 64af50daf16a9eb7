#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sockets and the memory balloon of real VMs on the software processor, with a stock kernel. The same scenarios run on KVM in
# tests/testbed/. VIVARIUM_FULL=1: all of what is promised, 10,000 connections, 1 GiB and 100 rounds of the balloon.
set -u
export LC_ALL=C
# shellcheck disable=SC2034 # read by control.sh
vmm=$VIVARIUM_BUILD/vivarium-vmm guest=$VIVARIUM_GUEST hypervisor=soft
scenarios=$(realpath "$(dirname "$0")/../testbed/system")
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

if [ ! -e "$guest/vsock_peer" ]; then
        echo "SKIP no stock guest in $guest: make guest"
        echo "[  SKIPPED ] test_sockets: no stock guest"
        exit 0
fi
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/sockets.sh
. "$scenarios/sockets.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        scenario_sockets 10000 1073741824
        scenario_balloon 100
else
        scenario_sockets 200 16777216
        scenario_balloon 3
fi
[ $failed -eq 0 ]
