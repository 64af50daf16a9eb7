#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: grub_disk.sh bios|efi KERNEL INITRD PARAMS IMAGE
#
# A disk as Debian's installer leaves it for a server: GRUB in the boot sector and the gap behind it with the kernel on
# an ext4 partition, or GRUB as the removable media's loader on an EFI system partition. Needs no root and no loop mount.
set -eu

kind=$1 kernel=$2 initrd=$3 params=$4 image=$5
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mib=$(($(cat "$kernel" "$initrd" | wc -c) / 1048576 + 24))
first=2048 # sectors before the partition
size=$((first + mib * 2048 + 2048))

config() { # the search for $root is the loader's
        cat <<CONFIG
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
echo "vivarium-guest: GRUB started"
linux /vmlinuz $params
initrd /initrd.img
boot
CONFIG
}

make_bios() {
        mkdir -p "$work/root"
        cp "$kernel" "$work/root/vmlinuz"
        cp "$initrd" "$work/root/initrd.img"
        {
                echo "set root=(hd0,msdos1)"
                config
        } >"$work/grub.cfg"
        grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -c "$work/grub.cfg" -o "$work/core.img" \
                biosdisk part_msdos ext2 linux serial terminal echo normal
        mke2fs -q -t ext4 -d "$work/root" "$work/part" "${mib}m"
        echo "label: dos
start=$first, size=$((mib * 2048)), type=83, bootable" | sfdisk -q "$image"
        # The boot sector's code ends where the partition table begins; the rest of GRUB follows in the gap.
        dd if=/usr/lib/grub/i386-pc/boot.img of="$image" bs=440 count=1 conv=notrunc status=none
        dd if="$work/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none
}

make_efi() {
        {
                echo "search --no-floppy --file /vmlinuz --set=root"
                config
        } >"$work/grub.cfg"
        # Partition maps are looked for only among the modules that are loaded; file systems are loaded as needed.
        grub-mkstandalone -O x86_64-efi -o "$work/bootx64.efi" --modules="part_gpt fat" --install-modules="part_gpt \
fat linux serial terminal echo normal search search_fs_file configfile all_video" --locales= --fonts= --themes= "boot/grub/grub.cfg=$work/grub.cfg"
        truncate -s "${mib}M" "$work/part"
        mformat -i "$work/part" ::
        mmd -i "$work/part" ::/EFI ::/EFI/BOOT
        mcopy -i "$work/part" "$work/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
        mcopy -i "$work/part" "$kernel" ::/vmlinuz
        mcopy -i "$work/part" "$initrd" ::/initrd.img
        echo "label: gpt
start=$first, size=$((mib * 2048)), type=U" | sfdisk -q "$image"
}

rm -f "$image"
truncate -s $((size * 512)) "$image"
case $kind in
bios) make_bios ;;
efi) make_efi ;;
*) echo "grub_disk.sh: $kind is neither bios nor efi" >&2 && exit 2 ;;
esac
dd if="$work/part" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none
