#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# More memory than fits below the PCI hole.
. "$(dirname "$0")/lib.sh"

run_guest big memory,poweroff --mem 6144
expect_death "a guest with 6 GiB powers off" big SHUTDOWN 0
memory=$(sed -n 's/^memory \([0-9]*\) KiB.*/\1/p' big.console)
check "its kernel has 6 GiB, less what it keeps for itself" test "${memory:-0}" -gt $((5800 * 1024)) -a \
        "${memory:-0}" -le $((6144 * 1024))
