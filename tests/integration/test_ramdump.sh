#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Dumps of a stock kernel on the software processor, as gdb reads them: one on request, after which the guest goes on, and one of
# a panic. Where the kernel's banner is, the guest tells; nokaslr keeps it there.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { cat console; tail -n 3 vmm.log; }

need_guest
command -v gdb >gdb.path || skip_all "no gdb: make deps"

timeout 400 "$vmm" --extended-status run --hypervisor soft --mem 256 --cpus 2 --initrd "$guest/initrd.img" --socket socket \
        --ramdump panic.core --serial type=stdout,hardware=serial,num=1,console=true \
        --params "quiet nokaslr panic=-1 cryptomgr.notests=1 vivarium.test=module:pvpanic-mmio,run:grep+-w+linux_banner+/proc/kallsyms,gpe:02,run:echo+awake,crash" \
        "$guest/vmlinuz" >console 2>vmm.log &
vmm_pid=$!
eventually grep -q '^waiting for event 02' console
banner=0x$(sed -n 's/^\([0-9a-f]*\) . linux_banner\r*$/\1/p' console | head -n 1)
check "a dump is written on request" "$vmm" ramdump request.core socket
check "whoever may not read the guest may not read its dump" test "$(stat -c %a request.core)" = 600
"$vmm" gpe 2 socket
wait $vmm_pid
status=$?
check "the guest goes on behind it" grep -q '^awake' console
check "a panic still ends with 34 once it is dumped" test $status -eq 34

for core in request panic; do
        gdb -nx -batch -ex "core-file $core.core" -ex 'info threads' -ex "x/s $banner" $core.core >$core.log 2>&1
        check "the $core core has the kernel's memory by its addresses" grep -q 'Linux version' $core.log
        check "the $core core has all processors" grep -Eq '^ +2 +(Thread|LWP)|^\* 2 +(Thread|LWP)' $core.log
        check "the $core core takes no room for memory that was never used" \
                test "$(($(stat -c '%b * %B' $core.core)))" -lt $((192 << 20))
done
[ $failed -eq 0 ]
