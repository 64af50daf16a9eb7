#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: here.sh PART soft|kvm VMM GUEST-DIR
# One part of parts.sh on this machine, as root.
[ -n "${VIVARIUM_NETNS:-}" ] || VIVARIUM_NETNS=1 exec unshare -n "$0" "$@"
set -u
export LC_ALL=C
here=$(realpath "$(dirname "$0")")
# shellcheck disable=SC2034 # read by the scenarios
vmm=$(realpath "$3") guest=$(realpath "$4") hypervisor=$2
# shellcheck disable=SC2034 # read by parts.sh
scenarios=${VIVARIUM_SCENARIOS:-$here/../../testbed/system}
work=$(mktemp -d)
cd "$work" || exit 1
trap 'kill $(jobs -p) 2>kill.log; wait; rm -rf "$work"' EXIT
failed=0

pass() { echo "ok $*"; }
fail() { failed=$((failed + 1)) && echo "not ok $*"; }
skip() { echo "skip $1: $2"; }
same() { # SENTENCE EXPECTED ACTUAL
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" && printf 'expected: %s\nactual:   %s\n' "$2" "$3" >&2; fi
}

# shellcheck source=tests/soak/devices/parts.sh
. "$here/parts.sh"
part "$1"
[ $failed -eq 0 ]
