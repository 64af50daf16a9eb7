#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that abuses every device, on the software processor. VIVARIUM_FULL=1: for some minutes. VIVARIUM_SANITIZED=1: with a
# VMM that was built with sanitizers, as `make hostile-asan` does.
set -u
export LC_ALL=C
# shellcheck disable=SC2034 # read by hostile.sh
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

# shellcheck source=tests/testbed/system/hostile.sh
. "$scenarios/hostile.sh"
if [ -n "${VIVARIUM_FULL:-}" ]; then
        # shellcheck disable=SC2046 # numbers
        scenario_hostile 500 $(seq 20) firmware
elif [ -n "${VIVARIUM_SANITIZED:-}" ]; then
        scenario_hostile 100 5 6 firmware
else
        scenario_hostile 200 1 2 3 4 firmware
fi
[ $failed -eq 0 ]
