#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run-unit.sh --name NAME TEST...
# Runs cmocka binaries, and scripts that print the same marks, quiet while they pass; closes with one line of totals.
# Of one that fails it shows what failed and how it ended; all that it said is kept in o/failed/. Only one that hangs takes 15
# minutes. With $VIVARIUM_BUILD, a process of that build that outlives its test is a failure, too.
set -u
name=$2
shift 2
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log" "$log.before" "$log.find"' EXIT
export TSAN_OPTIONS="${TSAN_OPTIONS:-suppressions=$PWD/tests/tsan.suppressions}"
excerpt() { # LOG
        grep -aE '^\[ +(FAILED|ERROR) +\]|^ERROR|error: |Sanitizer|^(expected|actual):' "$1" | sort -u | head -n 20
        echo ...
        tail -n 12 "$1"
}
# Processes of the build, by number. What ends takes its time for it, and a launch that nobody waits for takes a minute.
processes() { find /proc/[0-9]*/exe -maxdepth 0 -lname "$VIVARIUM_BUILD/*" 2>>"$log.find" | sort; }
leftover() { processes | comm -13 "$log.before" -; }
check_leftover() { # TEST
        i=0
        while [ -n "$(leftover)" ] && [ $i -lt 900 ]; do
                i=$((i + 1))
                sleep 0.1
        done
        for p in $(leftover | cut -d / -f 3); do
                echo "[  FAILED  ] ${1##*/}_leaves_process_$p:_$(tr '\0 ' '_' <"/proc/$p/cmdline" 2>>"$log.find")" >>"$log"
                status=1
        done
}
mkdir -p o/failed
for t in "$@"; do
        [ -z "${VIVARIUM_BUILD:-}" ] || processes >"$log.before"
        timeout 900 "$t" >"$log" 2>&1
        status=$?
        [ -z "${VIVARIUM_BUILD:-}" ] || check_leftover "$t"
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
