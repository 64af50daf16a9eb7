#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# More ways in which a stock guest ends itself.
. "$(dirname "$0")/lib.sh"

run_guest exit module:pvpanic-mmio,exit
expect_death "a guest whose init returns ends with GUEST_PANIC" exit GUEST_PANIC 34

EXTRA_PARAMS=reboot=t run_guest triple reboot
expect_death "a stock kernel that triple-faults ends with CRASH" triple CRASH 33

run_guest watchdog watchdog
expect_death "a guest that stops feeding its watchdog ends with WATCHDOG_REBOOT" watchdog WATCHDOG_REBOOT 36
