#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Options of the board and of memory on KVM, in stock guests: the last words of one, which the next reads.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"

head -c 8192 /dev/urandom >rw.bin
cp rw.bin ro.bin
cp rw.bin before.bin
truncate -s 64M ram.bin
word=0x$(od -An -tx4 -N4 rw.bin | tr -d ' ' | tr a-f A-F)
steps=smbios,run:devmem+0x200000000+32,run:devmem+0x200000004+32+0x11223344,run:devmem+0xe8001000+32+0x11223344
vm_begin dies "$steps,module:ramoops,crash" --oem-strings first --oem-strings vmm.notify_socket=second \
        --pstore path=words,size=0x100000 --file-backed-mapping addr=0x200000000,size=8192,path=rw.bin,rw \
        --file-backed-mapping addr=0xe8001000,size=4096,offset=4096,path=ro.bin \
        --file-backed-mapping addr=0xc000000,size=0x4000000,path=ram.bin,rw,ram
ends_with "a guest that panics ends the VMM" 32
same "it had its OEM strings" "smbios first smbios vmm.notify_socket=second" "$(grep -ao '^smbios [^[:cntrl:]]*' dies.console | grep -e first -e second | xargs)"
expect "it read the file that was mapped" dies "^$word"
same "and wrote to it" " 11223344" "$(od -An -tx4 -j4 -N4 rw.bin)"
same "a file without rw is as it was" 0 "$(cmp ro.bin before.bin >&2; echo $?)"
same "RAM in a file is what the guest wrote to" 4096 "$(tr -d '\0' <ram.bin | head -c 4096 | wc -c)"
vm_begin reads "module:ramoops,run:mount+-t+pstore+p+/mnt,run:cat+/mnt/dmesg-ramoops-0,run:cat+/proc/iomem,poweroff" \
        --pstore path=words,size=0x100000 --mmio-address-range 0xc8000000-0xdfffffff,0x100000000-0x1ffffffff
ends_with "the next guest powers off" 0
expect "it has read the last words" reads 'Kernel panic.*sysrq triggered crash'
expect "the lower window of its bus is in the range" reads '^c8000000-dfffffff : PCI Bus'
expect "so is the upper one, behind the last words" reads '^1[0-9a-f]{8}-1ffffffff : PCI Bus'
scenario_hotplug_slots
