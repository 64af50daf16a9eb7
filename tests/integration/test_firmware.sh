#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's firmware on the software processor, to a stock kernel's init and its power-off: SeaBIOS and OVMF with GRUB on a
# disk, both with a kernel served by fw_cfg, SeaBIOS with a SCSI disk, UEFI variables over two boots, and the PVH entry, which
# needs no firmware.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guest/initramfs.sh
. "$here/../guest/initramfs.sh"
PATH=$PATH:/usr/sbin:/sbin
seabios=/usr/share/seabios/bios-256k.bin ovmf=/usr/share/OVMF/OVMF_CODE_4M.fd variables=/usr/share/OVMF/OVMF_VARS_4M.fd
variable=/sys/firmware/efi/efivars/VivariumTest-6a4f3c52-9d0b-4e0e-8f0e-2f6f6f1f5a11
explain() { tail -n 20 console vmm.log; }

need_guest
for file in $seabios $ovmf $variables /usr/lib/grub/i386-pc/boot.img /usr/lib/grub/x86_64-efi/normal.mod; do
        [ -e "$file" ] || skip_all "no $file: make deps"
done
command -v grub-mkstandalone mformat >tools || skip_all "no grub or mtools: make deps"

# The console is a regular file, and gets all that firmware, loader and kernel say.
run_vmm() { # OPTIONS...
        : >console
        timeout 400 "$vmm" --extended-status run --hypervisor soft --serial type=file,path=console,hardware=serial,num=1 "$@" \
                2>vmm.log
        status=$?
}
disk() { # KIND
        sh "$here/../guest/grub_disk.sh" "$1" "$guest/vmlinuz" "$guest/initrd.img" \
                "console=ttyS0 quiet panic=-1 vivarium.test=$2" "$1.img" >disk.log 2>&1 || { cat disk.log && fail "the $1 disk is made"; }
}
ended_well() { [ $status -eq 0 ] && grep -aq 'vivarium-guest: init reached' console && grep -aq 'reboot: Power down' console; }

disk bios cpus
run_vmm --mem 256 --cpus 2 --bios $seabios --block bios.img,ro,bootindex=0
check "SeaBIOS starts GRUB from the disk" grep -q 'vivarium-guest: GRUB started' console
check "and GRUB the kernel, which powers off" ended_well
check "which finds both processors in the firmware's tables" grep -q '^cpus 2 online' console

# A disk whose boot sector goes round in circles
printf '\353\376' >trap.img
truncate -s 1M trap.img
printf '\125\252' | dd of=trap.img bs=1 seek=510 conv=notrunc status=none
run_vmm --mem 256 --cpus 2 --bios $seabios --block trap.img,ro,bootindex=2 --scsi-block trap.img,ro \
        --scsi-block bios.img,ro,bootindex=1
check "SeaBIOS takes the SCSI disk that is first in the order" grep -q 'vivarium-guest: GRUB started' console
check "and GRUB finds the kernel there" ended_well

# What the guest reads of fw_cfg itself, and of UEFI's variables: the latter begin with four bytes of attributes.
mkdir tree
cp "$(find "$guest/root/lib/modules" -name efivarfs.ko)" "$(find "$guest/root/lib/modules" -name qemu_fw_cfg.ko)" tree/
printf '\7\0\0\0variable kept' >tree/variable
cp "$guest/initrd.img" initrd.img
append tree initrd.img
head -c 9000 /bin/busybox >program
configuration=/sys/firmware/qemu_fw_cfg

# The disk would boot, too.
run_vmm --mem 256 --cpus 2 --bios $seabios --block bios.img,ro,bootindex=0 --initrd initrd.img \
        --fw-cfg name=opt/vivarium/text,string=told-by-the-host --fw-cfg name=opt/vivarium/file,path=program \
        --params "console=ttyS0 quiet panic=-1 vivarium.test=cpus,run:insmod+/qemu_fw_cfg.ko,run:cat+$configuration/by_name/opt/vivarium/text/raw,run:wc+-c+$configuration/by_name/opt/vivarium/file/raw" "$guest/vmlinuz"
check "SeaBIOS starts a kernel that fw_cfg serves" ended_well
check "without a look at the disk" test -z "$(grep -a GRUB console)"
check "and gives it command line and tables" grep -aq '^cpus 2 online' console
check "the guest reads a string of fw_cfg" grep -aq 'told-by-the-host' console
check "and a file to its end" grep -aq "^$(stat -c %s program) $configuration" console

disk efi run:ls+/sys/firmware/efi
cp $variables vars.fd
run_vmm --mem 512 --cpus 2 --bios $ovmf --pflash vars.fd --block efi.img,ro,bootindex=0
check "OVMF starts GRUB from the EFI system partition" grep -aq 'vivarium-guest: GRUB started' console
check "and GRUB the kernel in turn, which powers off" ended_well
check "which sees UEFI" grep -aq 'runtime-map' console
check "OVMF keeps its boot options in the flash" test -n "$(cmp vars.fd $variables)"

# What the kernel's own EFI stub gets from fw_cfg.
steps=run:insmod+/efivarfs.ko,run:mount+-t+efivarfs+efivarfs+/sys/firmware/efi/efivars
cp $variables vars.fd
served() { # STEP
        run_vmm --mem 512 --bios $ovmf --pflash vars.fd --initrd initrd.img \
                --params "console=ttyS0 quiet panic=-1 vivarium.test=$steps,$1" "$guest/vmlinuz"
}
served "run:cp+/variable+$variable"
check "OVMF starts a kernel that fw_cfg serves" ended_well
served "run:cat+$variable"
check "and starts it again" ended_well
check "a variable of the first boot is there in the second" grep -aq 'variable kept' console
tr -d '\0' <vars.fd >names # which are UTF-16
check "and in the file of the flash" grep -aq 'VivariumTest' names

# The stock kernel with a virtual address for e_entry, as other systems' kernels have it: only the note tells where to start.
cp "$guest/vmlinux" pvh.elf
printf '\0\0\0\201\377\377\377\377' | dd of=pvh.elf bs=1 seek=24 conv=notrunc status=none
run_vmm --mem 256 --cpus 2 --enable-fw-cfg --initrd initrd.img \
        --params "console=ttyS0 panic=-1 vivarium.test=cpus,run:insmod+/qemu_fw_cfg.ko,run:cat+$configuration/rev" pvh.elf
check "a kernel without a 64-bit entry starts by PVH" ended_well
check "and gets command line, initrd and ACPI tables" grep -q '^cpus 2 online' console
check "fw_cfg is there without firmware, when it is asked for" grep -aq '^3' console
[ $failed -eq 0 ]
