#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends that come from outside the guest, and starts that never become one.
. "$(dirname "$0")/lib.sh"

halted() { start_vm "$1" --kernel "$guest/tiny.elf" --mem 64 --params tiny=h:running && await_text "$1.console" running; }

check "a guest that halts for ever runs" halted kill9
kill -9 "$(vm_get kill9 Pid)"
check "its end is seen" await_death kill9
same "kill -9 of the VMM by a stranger is not mistaken for a request" "VMM_CRASH 9" \
        "$(death kill9 VM_DEATH_REASON) $(death kill9 VM_EXIT_SIGNAL)"

check "a second one runs" halted segv
kill -SEGV "$(vm_get segv Pid)"
check "its end is seen" await_death segv
same "kill -SEGV of the VMM ends with VMM_CRASH" "VMM_CRASH 11" \
        "$(death segv VM_DEATH_REASON) $(death segv VM_EXIT_SIGNAL)"

check "a third one runs" halted asked
pid=$(vm_get asked Pid)
check "vivctl kill ends it" vivctl kill asked
same "the reason is KILLED" KILLED "$(death asked VM_DEATH_REASON)"
check "its process is gone when Kill has returned" test ! -e "/proc/$pid"

: >empty
head -c 100000 /dev/urandom >noise
for kernel in empty noise; do
        run_vm "$kernel" --kernel $kernel --mem 64
        expect_death "a kernel that is $kernel ends with START_FAILED" $kernel START_FAILED 1
done
