# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the system tests share. A test is a bash script that sources this file; its working directory is its own and empty.
set -u
export LC_ALL=C SYSTEMD_COLORS=0 SYSTEMD_PAGER=
tests=/usr/lib/vivarium-testbed
guest=/usr/lib/vivarium-testbed/guest
name=$(basename "$0" .sh)
work=/run/vivarium-testbed/${name#test_}.work
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1

BUS=org.vivarium.vm1
MANAGER=/org/vivarium/vm1

pass() { echo "ok $*"; }
fail() { echo "not ok $*"; }
skip() { echo "ok $1 # SKIP $2"; }

# check SENTENCE COMMAND...: the command's success is the result; its output goes to the log
check() {
        local sentence=$1
        shift
        echo "+ $*" >&2
        if "$@" >&2; then pass "$sentence"; else fail "$sentence"; fi
}

# same SENTENCE EXPECTED ACTUAL
same() {
        if [ "$2" = "$3" ]; then
                pass "$1"
        else
                fail "$1"
                echo "expected: $2" >&2
                echo "actual:   $3" >&2
        fi
}

# at_most SENTENCE LIMIT ACTUAL
at_most() {
        echo "$1: $3 (limit $2)" >&2
        if [ -n "$3" ] && [ "$3" -le "$2" ]; then pass "$1: $3"; else fail "$1: ${3:-nothing}"; fi
}
