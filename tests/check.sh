#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make check`: every stage in turn, one line of progress each, its full output in o/check/STAGE.log. A stage that fails
# shows its log and lets the others run; the last line sums them up.
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p o/check
make=${MAKE:-make}
jobs=$(nproc)
passed=0 failed=0 skipped=0
begin=$(date +%s)

# A stage says what it counted in a line `NAME: N passed, N failed, N skipped`; one without such a line counts as one.
stage() { # NAME COMMAND...
        name=$1
        shift
        start=$(date +%s)
        "$@" >"o/check/$name.log" 2>&1 </dev/null
        status=$?
        totals=$(sed -n 's/^[a-z-]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped.*/\1 \2 \3/p' \
                "o/check/$name.log" | awk '{ p += $1; f += $2; s += $3 } END { if (NR) print p, f, s }')
        if [ -z "$totals" ]; then
                totals="1 0 0"
                [ $status -eq 0 ] || totals="0 1 0"
        fi
        # shellcheck disable=SC2086
        set -- $totals
        [ $status -eq 0 ] || [ "$2" -gt 0 ] || set -- "$1" 1 "$3"
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
        verdict=ok
        [ "$2" -eq 0 ] || verdict=FAILED
        printf 'check: %-14s %-6s %4d passed %3d failed %3d skipped %5d s\n' "$name" "$verdict" "$1" "$2" "$3" \
                $(($(date +%s) - start))
        grep -iE '^(SKIP|.*\[  SKIPPED|.*# SKIP)' "o/check/$name.log" | sort -u | sed 's/^/    /' | head -n 40
        [ "$2" -eq 0 ] || tail -n 200 "o/check/$name.log" | sed 's/^/    /'
        [ "$2" -eq 0 ]
}

finish() {
        echo "check: took $(($(date +%s) - begin)) s"
        echo "$passed passed, $failed failed, $skipped skipped"
        [ "$failed" -eq 0 ]
        exit
}

stage deps "$make" --no-print-directory deps || finish
stage build "$make" --no-print-directory -k -j"$jobs" all || finish
stage lint "$make" --no-print-directory lint
stage unit "$make" --no-print-directory -k -j"$jobs" unit
stage unit-asan "$make" --no-print-directory -k -j"$jobs" MODE=asan unit
stage unit-tsan "$make" --no-print-directory -k -j"$jobs" MODE=tsan unit ONLY=unit/vmm
stage fuzz "$make" --no-print-directory -k -j"$jobs" MODE=asan fuzz-replay
stage integration "$make" --no-print-directory -j"$jobs" integration
stage hostile-asan "$make" --no-print-directory -j"$jobs" hostile-asan
stage testbed "$make" --no-print-directory testbed
finish
