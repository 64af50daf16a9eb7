#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: search.sh BUILD-DIR SECONDS NAME...
# Lets libFuzzer look for new inputs, SECONDS for each target. What it learns stays in o/fuzz-corpus/NAME/; what makes a
# target fail goes to o/fuzz-found/, from where a test author puts it into tests/fuzz/corpus/ with the fix.
set -u
build=$1 seconds=$2
shift 2
failed=0
mkdir -p o/fuzz-found
for name in "$@"; do
        mkdir -p "o/fuzz-corpus/$name"
        echo "fuzz: $name for $seconds s"
        "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
                -artifact_prefix="o/fuzz-found/$name-" "o/fuzz-corpus/$name" "tests/fuzz/corpus/$name" ||
                failed=$((failed + 1))
done
echo "fuzz: $# targets, $failed failed"
[ $failed -eq 0 ]
