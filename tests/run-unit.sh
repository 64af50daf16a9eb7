#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run-unit.sh --name NAME TEST...
# Runs cmocka binaries, and scripts that print the same marks, quiet while they pass; closes with one line of totals.
# Of one that fails it shows what failed and how it ended; all that it said is kept in o/failed/. Only one that hangs takes 15
# minutes.
set -u
name=$2
shift 2
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export TSAN_OPTIONS="${TSAN_OPTIONS:-suppressions=$PWD/tests/tsan.suppressions}"
excerpt() { # LOG
        grep -aE '^\[ +(FAILED|ERROR) +\]|^ERROR|error: |Sanitizer|^(expected|actual):' "$1" | sort -u | head -n 20
        echo ...
        tail -n 12 "$1"
}
mkdir -p o/failed
for t in "$@"; do
        timeout 900 "$t" >"$log" 2>&1
        status=$?
        p=$(grep -c '^\[       OK \]' "$log")
        s=$(grep '^\[  SKIPPED \] [a-z]' "$log" | sort -u | wc -l)
        f=$(grep '^\[  FAILED  \] [a-z]' "$log" | sort -u | wc -l)
        passed=$((passed + p)) skipped=$((skipped + s))
        # a test that skips has said why in a line that ends so
        [ "$s" -eq 0 ] || grep -E 'skipping$|^SKIP' "$log" | sort -u | sed "s|^|SKIP $(basename "$t"): |"
        if [ $status -ne 0 ]; then
                [ "$f" -gt 0 ] || f=1
                failed=$((failed + f))
                kept=o/failed/$(basename "$t").log
                cp "$log" "$kept"
                echo "FAIL $t (exit status $status); all of it is in $kept"
                excerpt "$log" | cut -c 1-240
        fi
done
echo "$name: $passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
