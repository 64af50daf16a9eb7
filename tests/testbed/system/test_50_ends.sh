#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The ways in which a stock guest ends itself, each by its real cause.
. "$(dirname "$0")/lib.sh"

run_guest reboot reboot
expect_death "a guest that reboots ends with REBOOT" reboot REBOOT 32

run_guest crash module:pvpanic-mmio,crash
expect_death "sysrq c in a guest with pvpanic ends with GUEST_PANIC" crash GUEST_PANIC 34

run_guest crash_plain crash
expect_death "sysrq c in a guest that restarts after a panic ends with REBOOT" crash_plain REBOOT 32
