# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Dumps of a stock kernel and Debian's gdb on it: sourced by the integration tests (software processor) and by the system test
# (KVM), behind control.sh, which has what is used here. Where the kernel's symbols are, a guest tells; nokaslr keeps them there.

# symbols_step SYMBOL...: a step that tells where they are
symbols_step() { echo "run:grep+-wE+$(IFS='|' && echo "$*")+/proc/kallsyms"; }
# address_of SYMBOL NAME: as the guest NAME told
address_of() { sed -n "s/^\([0-9a-f]*\) . $1\r*$/0x\1/p" "$2.console" | head -n 1; }

# One dump on request, after which the guest goes on, and one of a panic. The guest tells of the further SYMBOLs, too.
scenario_ramdump() { # SYMBOL...
        local core banner
        vm_begin dumped "module:pvpanic-mmio,$(symbols_step "$@" linux_banner),gpe:02,run:echo+awake,crash" --ramdump panic.core \
                -p nokaslr
        vm_says dumped '^waiting for event 02'
        banner=$(address_of linux_banner dumped)
        done_with "a dump is written on request" dumped ramdump request.core
        same "whoever may not read the guest may not read its dump" 600 "$(stat -c %a request.core)"
        ask dumped gpe 2
        ends_with "a panic still ends with 34 once it is dumped" 34
        expect "the guest had gone on behind the first" dumped '^awake'
        for core in request panic; do
                gdb -nx -batch -ex "core-file $core.core" -ex 'info threads' -ex "x/s $banner" $core.core >$core.log 2>&1
                check "the $core core has the kernel's memory by its addresses" grep -q 'Linux version' $core.log
                check "the $core core has all processors" grep -Eq '^[* ] +2 +(Thread|LWP)' $core.log
                check "the $core core takes no room for memory that was never used" \
                        test "$(($(stat -c '%b * %B' $core.core)))" -lt $((192 << 20))
        done
}

gdb_listens() { grep -q "^[^ ]* [^ ]* [^ ]* 00010000 .* $PWD/gdb\$" /proc/net/unix; }

# The last value that gdb printed of an expression: lines "NAME = VALUE".
printed() { sed -n "s/^$1 = //p" gdb.log | tail -n 1; }

# scenario_gdb_attach NAME: a guest has told where linux_banner is. What each processor can do: the first instruction is
# stepped, and later a debugger comes back to a kernel that runs.
scenario_gdb_attach() {
        local start=(gdb -nx -batch -ex "set remotetimeout 240" -ex "set architecture i386:x86-64" -ex "target remote $PWD/gdb")
        vm_begin attached cpus,gpe:02,run:echo+awake,poweroff --gdb "$PWD/gdb" -p nokaslr
        eventually gdb_listens
        timeout 240 "${start[@]}" -ex 'info threads' -ex 'printf "first = %#lx\n", (unsigned long) $rip' -ex stepi \
                -ex 'printf "second = %#lx\n", (unsigned long) $rip' -ex detach >gdb.log 2>&1
        same "all vCPUs are threads" 1 "$(grep -c '^ *2 *Thread 2 (vCPU 1)' gdb.log)"
        same "a step executes one instruction" 0x1000000+7 "$(printed first)+$(($(printed second) - $(printed first)))"
        expect "the guest goes on without the debugger" attached '^waiting for event 02'
        timeout 240 "${start[@]}" -ex "x/s $(address_of linux_banner "$1")" -ex 'set $kept = $r15' -ex 'set $r15 = 0x1122334455667788' \
                -ex 'printf "r15 = %#lx\n", $r15' -ex 'set $r15 = $kept' -ex 'thread 2' -ex 'printf "ring = %d\n", $cs & 3' \
                -ex detach >gdb.log 2>&1
        same "a debugger that comes back reads the kernel by its addresses" 1 "$(grep -c 'Linux version' gdb.log)"
        same "it writes registers" 0x1122334455667788 "$(printed r15)"
        check "it reads those of another vCPU" test "$(printed ring)" -ge 0
        cat gdb.log >&2
        ask attached gpe 2
        ends_with "the guest ends as it would have" 0
        expect "it had gone on" attached '^awake'
        check "the socket is removed" test ! -e gdb
}

debugged_symbols="do_sys_openat2 kernel_power_off jiffies_64 start_kernel"
# scenario_gdb NAME: a guest has told of $debugged_symbols
scenario_gdb() {
        local start open jiffies off
        start=$(address_of start_kernel "$1") open=$(address_of do_sys_openat2 "$1")
        jiffies=$(address_of jiffies_64 "$1") off=$(address_of kernel_power_off "$1")
        # r15 is the guest's own: it is put back before the guest goes on.
        cat >session <<GDB
set pagination off
set confirm off
set remotetimeout 120
set architecture i386:x86-64
target remote $PWD/gdb
info threads
printf "first = %#lx\n", (unsigned long) \$rip
stepi
printf "second = %#lx\n", (unsigned long) \$rip
hbreak *$start
continue
printf "hardware = %#lx\n", (unsigned long) \$rip
delete
break *$open
continue
printf "software = %#lx\n", (unsigned long) \$rip
printf "byte = %#x\n", *(unsigned char *) \$rip
stepi
printf "stepped = %#lx\n", (unsigned long) \$rip
delete
set \$before = *(unsigned long *) $jiffies
watch *(unsigned long *) $jiffies
continue
printf "jiffies = %d\n", *(unsigned long *) $jiffies > \$before
delete
set \$kept = \$r15
set \$r15 = 0x1122334455667788
printf "r15 = %#lx\n", \$r15
set \$r15 = \$kept
break *$off
continue
printf "end = %#lx\n", (unsigned long) \$rip
printf "cs = %d\n", \$cs & 3
detach
GDB
        vm_begin debugged cpus,poweroff --gdb "$PWD/gdb" -p nokaslr
        eventually gdb_listens
        timeout "${VIVARIUM_LIFE:-600}" gdb -nx -batch -x session >gdb.log 2>&1
        same "all vCPUs are threads" 1 "$(grep -c '^ *2 *Thread 2 (vCPU 1)' gdb.log)"
        check "a step executes one instruction" test "$(printed first)" != "$(printed second)"
        same "a hardware breakpoint stops before its instruction" "$start" "$(printed hardware)"
        same "a software breakpoint stops before its instruction" "$open" "$(printed software)"
        check "memory reads as if there were no breakpoint" test "$(printed byte)" != 0xcc
        check "a step leaves the breakpoint" test "$(printed stepped)" != "$(printed software)"
        same "a watchpoint stops behind the write" 1 "$(printed jiffies)"
        same "registers are written" 0x1122334455667788 "$(printed r15)"
        same "a breakpoint is met once more, late" "$off" "$(printed end)"
        same "the kernel runs in ring 0" 0 "$(printed cs)"
        ends_with "without the debugger the guest ends as it would have" 0
        expect "it had gone on" debugged '^cpus 2 online'
        check "the socket is removed" test ! -e gdb
        cat gdb.log >&2
}
