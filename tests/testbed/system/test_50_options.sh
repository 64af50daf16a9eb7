#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Options of the board and of memory on KVM, in stock guests: the last words of one, which the next reads.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # read by control.sh
vmm=vivarium-vmm hypervisor=kvm
# shellcheck source=tests/testbed/system/control.sh
. "$(dirname "$0")/control.sh"

head -c 8192 /dev/urandom >rw.bin
word=0x$(od -An -tx4 -N4 rw.bin | tr -d ' ' | tr a-f A-F)
vm_begin dies "smbios,run:devmem+0x200000000+32,run:devmem+0x200000004+32+0x11223344,module:ramoops,crash" \
        --oem-strings first --oem-strings vmm.notify_socket=second --pstore path=words,size=0x100000 \
        --file-backed-mapping addr=0x200000000,size=8192,path=rw.bin,rw
ends_with "a guest that panics ends the VMM" 32
same "it had its OEM strings" "smbios first smbios vmm.notify_socket=second" "$(grep -ao '^smbios [^[:cntrl:]]*' dies.console | grep -e first -e second | xargs)"
expect "it read the file that was mapped" dies "^$word"
same "and wrote to it" " 11223344" "$(od -An -tx4 -j4 -N4 rw.bin)"
vm_begin reads "module:ramoops,run:mount+-t+pstore+p+/mnt,run:cat+/mnt/dmesg-ramoops-0,poweroff" --pstore path=words,size=0x100000
ends_with "the next guest powers off" 0
expect "it has read the last words" reads 'Kernel panic.*sysrq triggered crash'
