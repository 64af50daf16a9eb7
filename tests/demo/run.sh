#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh BUILD-DIR
# The demo wherever it can run: here if this machine's KVM runs a guest, else on the testbed's host, a Debian 12 under QEMU
# whose KVM is real although nested.
set -eu
cd "$(dirname "$0")/../.."
build=$1
out=o/demo

tests/guest/build.sh o/guest
status=0
tests/demo/demo.sh "$build" o/guest || status=$?
[ $status -eq 77 ] || exit $status

echo "demo: running the same script on the testbed's host, under QEMU with nested KVM"
programs=$out/overlay/usr/lib/vivarium-demo
rm -rf "$out"
mkdir -p "$programs" "$out/overlay/usr/lib/vivarium-testbed"
cp tests/demo/demo.sh "$build/vivctl" "$build/vivariumd" "$build/vivarium-launch" "$build/vivarium-vmm" "$programs/"
cat >"$out/overlay/usr/lib/vivarium-testbed/demo.sh" <<'SCRIPT'
#!/bin/bash
stty -F /dev/ttyS1 raw
exec /usr/lib/vivarium-demo/demo.sh /usr/lib/vivarium-demo /usr/lib/vivarium-testbed/guest 2>&1
SCRIPT
chmod 755 "$out/overlay/usr/lib/vivarium-testbed/demo.sh"

# The host's second serial port is the demo's output; it is shown while it is written.
: >$out/results
tests/testbed/boot.sh "$build" $out "testbed.script=/usr/lib/vivarium-testbed/demo.sh" $out/overlay &
host=$!
tail -n +1 -f --pid=$host $out/results
wait $host || :
last=$(grep '^demo: ' $out/results | tail -n 1 || :)
case $last in
"demo: ok "*) ;;
*)
        echo "demo: failed; the end of the host's console:"
        tail -n 40 $out/logs/console.log
        exit 1
        ;;
esac
