#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's SeaBIOS on KVM, with a kernel that it loads by the option ROM. Not OVMF, whose writes to CR8 end
# QEMU where SVM is nested (docs/OPTIONS.md).
. "$(dirname "$0")/lib.sh"

if [ ! -e "$guest/bios-256k.bin" ]; then
        skip "SeaBIOS starts a kernel that fw_cfg serves" "no SeaBIOS where this host was made"
        exit 0
fi
timeout 400 vivarium-vmm --extended-status run --hypervisor kvm --mem 256 --cpus 2 --bios "$guest/bios-256k.bin" \
        --serial type=file,path=console,hardware=serial,num=1 --initrd "$guest/initrd.img" \
        --params "$stock_params vivarium.test=cpus,poweroff" "$guest/vmlinuz" >&2 </dev/null
same "a guest under SeaBIOS powers off" 0 $?
cat console >&2
check "SeaBIOS ran" grep -aq '^.*SeaBIOS (version' console
check "it started the kernel that fw_cfg serves, with both processors" grep -aq '^cpus 2 online' console
