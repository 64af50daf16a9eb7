#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh BUILD-DIR [ONLY]
# The testbed in one command: a Debian host with systemd, the project installed as `make install` does, nested SVM under
# QEMU, the system tests inside. Results come as readable lines and a line of totals; logs are in o/testbed/logs/.
# TESTBED_JOBS (2) guests run at a time; TESTBED_KILLS (10) times the service is killed in its storm.
set -eu
cd "$(dirname "$0")/../.."
build=$1 only=${2:-}
out=o/testbed
here=tests/testbed

start=$(date +%s)
status=0
$here/boot.sh "$build" $out "testbed.only=$only testbed.jobs=${TESTBED_JOBS:-2} \
testbed.kills=${TESTBED_KILLS:-10}" || status=$?

grep -avE '^1\.\.' $out/results || :
ok=$(grep -aE '^ok ' $out/results | grep -avc '# SKIP' || :)
bad=$(grep -acE '^not ok ' $out/results || :)
skipped=$(grep -acE '^ok .*# SKIP' $out/results || :)
plan=$(sed -n 's/^1\.\.//p' $out/results)
if [ -z "$plan" ] || [ "$plan" -ne $((ok + bad + skipped)) ]; then
        bad=$((bad + 1))
        echo "not ok the host ran all tests (QEMU status $status); the end of its console:"
        tail -n 40 $out/logs/console.log
fi
echo "testbed: took $(($(date +%s) - start)) s; logs in $out/logs/"
echo "testbed: $ok passed, $bad failed, $skipped skipped"
[ "$bad" -eq 0 ]
