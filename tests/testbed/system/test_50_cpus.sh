#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An unmodified Debian kernel reaches its init on one, two and four processors and in a small memory.
. "$(dirname "$0")/lib.sh"

for cpus in 1 2 4; do
        run_guest "cpus$cpus" cpus,memory,rng,module:button,poweroff --cpus $cpus
        expect_death "a guest with $cpus processors and 256 MiB powers off" "cpus$cpus" SHUTDOWN 0
        says "cpus$cpus" "^cpus $cpus online" "its kernel counts $cpus processors"
done
memory=$(sed -n 's/^memory \([0-9]*\) KiB.*/\1/p' cpus1.console)
check "its kernel has 256 MiB, less what it keeps for itself" test "${memory:-0}" -gt $((190 * 1024)) -a \
        "${memory:-0}" -le $((256 * 1024))
says cpus1 '^step rng: ok' "the guest reads the virtio entropy source"
