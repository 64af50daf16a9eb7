#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's gdb and a stock kernel on the software processor. Where kernel functions are, a first run of the guest tells;
# nokaslr keeps them there.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 40 gdb.log; }

need_guest
command -v gdb >gdb.path || skip_all "no gdb: make deps"

run_vmm() { # STEPS [OPTIONS...]
        local steps=$1
        shift
        timeout 500 "$vmm" --extended-status run --hypervisor soft --mem 256 --cpus 2 --initrd "$guest/initrd.img" \
                --params "quiet nokaslr panic=-1 cryptomgr.notests=1 vivarium.test=$steps" \
                --serial type=stdout,hardware=serial,num=1,console=true "$@" "$guest/vmlinuz" 2>vmm.log
}
address() { sed -n "s/^\([0-9a-f]*\) . $1\r*$/\1/p" symbols | head -n 1; }
# The last value that gdb printed of an expression: lines "NAME = VALUE".
printed() { sed -n "s/^$1 = //p" gdb.log | tail -n 1; }

steps=
for symbol in do_sys_openat2 kernel_power_off jiffies_64 start_kernel; do
        steps=$steps,run:grep+-w+$symbol+/proc/kallsyms
done
run_vmm "${steps#,}" >symbols
[ -n "$(address do_sys_openat2)" ] || { fail "the guest tells where its functions are" && tail symbols; }

cat >session <<GDB
set pagination off
set confirm off
set remotetimeout 120
set architecture i386:x86-64
target remote $work/gdb
info threads
printf "first = %#lx\n", (unsigned long) \$rip
stepi
printf "second = %#lx\n", (unsigned long) \$rip
hbreak *0x$(address start_kernel)
continue
printf "hardware = %#lx\n", (unsigned long) \$rip
delete
break *0x$(address do_sys_openat2)
continue
printf "software = %#lx\n", (unsigned long) \$rip
printf "byte = %#x\n", *(unsigned char *) \$rip
stepi
printf "stepped = %#lx\n", (unsigned long) \$rip
delete
set \$before = *(unsigned long *) 0x$(address jiffies_64)
watch *(unsigned long *) 0x$(address jiffies_64)
continue
printf "jiffies = %d\n", *(unsigned long *) 0x$(address jiffies_64) > \$before
delete
set \$r15 = 0x1122334455667788
printf "r15 = %#lx\n", \$r15
break *0x$(address kernel_power_off)
continue
printf "end = %#lx\n", (unsigned long) \$rip
printf "cs = %d\n", \$cs & 3
detach
GDB
# shellcheck disable=SC2016 # gdb reads those
# r15 is the guest's own: it is put back before the guest goes on.
sed -i 's/^set \$r15 = /set $kept = $r15\n&/; s/^printf "r15.*/&\nset $r15 = $kept/' session

run_vmm cpus --gdb "$work/gdb" >console &
eventually listening "$work/gdb"
timeout 400 gdb -nx -batch -x session >gdb.log 2>&1
wait $!
status=$?

check "all vCPUs are threads" grep -q 'Thread 2 (vCPU 1)' gdb.log
check "a step executes one instruction" test "$(printed first)" != "$(printed second)"
check "a hardware breakpoint stops before its instruction" test "$(printed hardware)" = "0x$(address start_kernel)"
check "a software breakpoint stops before its instruction" test "$(printed software)" = "0x$(address do_sys_openat2)"
check "memory reads as if there were no breakpoint" test "$(printed byte)" != 0xcc
check "a step leaves the breakpoint" test "$(printed stepped)" != "$(printed software)"
check "a watchpoint stops behind the write" test "$(printed jiffies)" = 1
check "registers are written" test "$(printed r15)" = 0x1122334455667788
check "a breakpoint is met once more, late" test "$(printed end)" = "0x$(address kernel_power_off)"
check "the kernel runs in ring 0" test "$(printed cs)" = 0
check "the guest goes on without the debugger" grep -q '^cpus 2 online' console
check "and ends as it would have" test $status -eq 0
check "the socket is removed" test ! -e gdb
[ $failed -eq 0 ]
