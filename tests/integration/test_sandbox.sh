#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The VMM's sandbox on the software processor, with a stock kernel. The same scenario runs on KVM in tests/testbed/.
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

if [ ! -e "$guest/vmlinuz" ]; then
        echo "SKIP no stock guest in $guest: make guest"
        echo "[  SKIPPED ] test_sandbox: no stock guest"
        exit 0
fi
if ! unshare --user --mount true 2>unshare.log; then
        echo "SKIP no user namespaces for us: $(cat unshare.log)"
        echo "[  SKIPPED ] test_sandbox: no namespaces"
        exit 0
fi
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/sandbox.sh
. "$scenarios/sandbox.sh"
scenario_sandbox
scenario_without
[ $failed -eq 0 ]
