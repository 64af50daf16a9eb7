#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: replay.sh BUILD-DIR NAME...
# Runs fuzz_NAME over tests/fuzz/corpus/NAME/ and FUZZ_MUTATIONS (20000) mutations of it.
set -u
build=$1
shift
passed=0 failed=0
for name in "$@"; do
        keep=$build/tests/fuzz/$name.input
        set -- tests/fuzz/corpus/"$name"/*
        if [ ! -e "$1" ]; then
                echo "FAIL fuzz_$name has no corpus in tests/fuzz/corpus/$name/"
                failed=$((failed + 1))
        elif timeout 900 "$build/tests/fuzz/fuzz_$name" "$keep" "${FUZZ_MUTATIONS:-20000}" "$@" >"$keep.log" 2>&1; then
                passed=$((passed + 1))
                echo "fuzz_$name: $# inputs and their mutations"
                rm -f "$keep.log"
        else
                echo "FAIL fuzz_$name (status $?) on the input kept in $keep"
                tail -n 60 "$keep.log"
                failed=$((failed + 1))
        fi
done
echo "fuzz: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
