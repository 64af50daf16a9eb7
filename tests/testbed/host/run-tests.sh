#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the system tests inside the host and writes TAP. Scripts test_1*.sh run first and alone, test_5*.sh are independent
# of each other and run TESTBED_JOBS at a time, test_9*.sh come last and alone. Each prints lines
# `ok SENTENCE`, `not ok SENTENCE` or `ok SENTENCE # SKIP reason` through the functions of lib.sh.
set -u
here=/usr/lib/vivarium-testbed
logs=/run/vivarium-testbed
mkdir -p $logs
# Whoever booted this host hears from it as long as its processors run.
(while sleep 5; do echo; done) >/dev/ttyS2 2>$logs/heartbeat.log &
depmod 2>$logs/depmod.log # the modules came with an index that only busybox reads
# Another script may have the host for itself, such as the benchmark's.
script=$(sed -n 's/.*testbed\.script=\([^ ]*\).*/\1/p' /proc/cmdline)
[ -z "$script" ] || exec "$script" 2>$logs/script.log
only=$(sed -n 's/.*testbed\.only=\([^ ]*\).*/\1/p' /proc/cmdline)
jobs=$(sed -n 's/.*testbed\.jobs=\([^ ]*\).*/\1/p' /proc/cmdline)
stty -F /dev/ttyS1 raw 2>/dev/null

run_one() {
        local script=$1 name start status
        name=$(basename "$script" .sh)
        name=${name#test_}
        start=$SECONDS
        timeout "${seconds:-$((900 + 15 * ${kills:-10}))}" "$script" >"$logs/$name.tap" 2>"$logs/$name.log" </dev/null
        status=$?
        [ $status -eq 0 ] || echo "not ok $name ran to its end (status $status)" >>"$logs/$name.tap"
        {
                flock 9
                echo "# $name ($((SECONDS - start)) s)"
                cat "$logs/$name.tap"
                if grep -q '^not ok' "$logs/$name.tap"; then
                        tail -n 60 "$logs/$name.log" | sed 's/^/#    /'
                fi
        } 9>$logs/lock
}
# Scripts that ended before this host's predecessor did.
skip=,$(sed -n 's/.*testbed\.skip=\([^ ]*\).*/\1/p' /proc/cmdline),
kills=$(sed -n 's/.*testbed\.kills=\([0-9]*\).*/\1/p' /proc/cmdline)
seconds=$(sed -n 's/.*testbed\.seconds=\([0-9]*\).*/\1/p' /proc/cmdline)
export -f run_one
export logs kills seconds SECONDS

phase() { # PATTERN JOBS
        find "$here" -name "test_$1*.sh" | grep -F -- "$only" | sort | while read -r script; do
                name=$(basename "$script" .sh)
                case $skip in *",${name#test_},"*) ;; *) echo "$script" ;; esac
        done | xargs -r -P "$2" -I{} bash -c 'run_one {}'
}

{
        phase 1 1
        phase 5 "${jobs:-2}"
        phase 9 1
} | tee $logs/all.tap
echo "1..$(grep -cE '^(not )?ok ' $logs/all.tap)"
