#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: installed.sh BUILD-DIR OUTDIR
# Makes OUTDIR/installed.img, a disk as Debian's installer leaves it: GPT with a BIOS boot partition, an EFI system partition
# and an ext4 root with systemd, the stock cloud kernel and GRUB for both kinds of firmware. GRUB is installed by Debian's own
# grub-install and update-grub, in a VM that has the disk and was given its kernel. Made again only when what makes it changes.
#
# The system runs the credential vivarium.steps as a shell script when it is up, with its output on ttyS1; root's password
# is "vivarium".
set -eu
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
vmm=$1/vivarium-vmm out=${2:?usage: installed.sh BUILD-DIR OUTDIR}
mkdir -p "$out"
exec 9>"$out/installed.lock"
flock 9 # one build at a time

die() {
        echo "tests/soak/installed.sh: $*" >&2
        exit 1
}

packages=systemd,systemd-sysv,udev,dbus,login,kmod,procps,initramfs-tools,linux-image-cloud-amd64
packages=$packages,grub-pc,grub-efi-amd64-bin,efibootmgr,dosfstools
key="$packages $(cat "$here/installed.sh" "$here/guest/installed.service" | sha256sum)"
[ -e "$out/installed.img" ] && [ "$(cat "$out/installed.key" 2>/dev/null)" = "$key" ] && exit 0
rm -f "$out/installed.key" "$out/installed.img"

for tool in mmdebstrap:mmdebstrap mke2fs:e2fsprogs sfdisk:fdisk openssl:openssl; do
        command -v "${tool%%:*}" >/dev/null || die "no ${tool%%:*}; run as root: apt-get install ${tool##*:}"
done
# Ownership of the files survives into the image only when root unpacks them.
[ "$(id -u)" -eq 0 ] || die "building the disk needs root"
sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' \
        'Origin: Debian' | grep bookworm | sort -u)
[ -n "$sources" ] || die "apt knows no Debian 12 archive; run: apt-get update"

work=$out/installed.work tree=$out/installed.work/tree image=$out/installed.work/image
rm -rf "$work"
mkdir -p "$work"
echo "soak: unpacking the installed disk's packages"
echo "$sources" | mmdebstrap --quiet --variant=minbase --include=$packages \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --aptopt='Acquire::Languages "none"' bookworm "$tree" -

# What an installer asks for and writes.
mkdir -p "$tree/boot/efi" "$tree/var/log/journal" "$tree/etc/systemd/system/multi-user.target.wants"
printf 'LABEL=root / ext4 errors=remount-ro 0 1\nLABEL=ESP /boot/efi vfat umask=0077 0 1\n' >"$tree/etc/fstab"
echo installed >"$tree/etc/hostname"
systemd-id128 new >"$tree/etc/machine-id"
echo "root:$(openssl passwd -6 vivarium)" | chroot "$tree" chpasswd -e
cat >"$tree/etc/default/grub" <<'GRUB'
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=
GRUB_CMDLINE_LINUX="console=ttyS0 panic=-1 cryptomgr.notests=1"
GRUB_TERMINAL=serial
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_DISABLE_OS_PROBER=true
GRUB
cp "$here/guest/installed.service" "$tree/etc/systemd/system/"
ln -s ../installed.service "$tree/etc/systemd/system/multi-user.target.wants/"
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
        ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
rm -rf "${tree:?}"/var/cache/apt "$tree"/var/lib/apt/lists

# Sectors: the root begins where firmware.sh looks for it.
truncate -s 1G "$image"
sfdisk -q "$image" <<'PARTITIONS'
label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
start=4096, size=65536, type=U
start=69632, type=L
PARTITIONS
truncate -s 32M "$tree/esp"
chroot "$tree" mkfs.vfat -n ESP /esp >"$work/log"
dd if="$tree/esp" of="$image" bs=1M seek=2 conv=notrunc,sparse status=none
rm "$tree/esp"
mke2fs -q -t ext4 -L root -E offset=$((69632 * 512)) -d "$tree" "$image" 989M
cp "$tree"/boot/vmlinuz-* "$work/vmlinuz"
cp "$tree"/boot/initrd.img-* "$work/initrd.img"

echo "soak: installing GRUB"
timeout 900 "$vmm" --extended-status run --hypervisor soft --mem 512 --cpus 2 --block "$image" --initrd "$work/initrd.img" \
        --params "root=LABEL=root rw console=ttyS0 quiet panic=-1 cryptomgr.notests=1" \
        --serial "type=file,path=$work/console,hardware=serial,num=1,console=true" \
        --serial "type=file,path=$work/said,hardware=serial,num=2" \
        --oem-strings "io.systemd.credential:vivarium.steps=grub-install --target=i386-pc /dev/vda && \
grub-install --target=x86_64-efi --no-nvram --force-extra-removable && update-grub && echo installed; systemctl poweroff" \
        "$work/vmlinuz" 2>"$work/log" </dev/null || die "the VM that installs GRUB failed: $(tail -n 5 "$work/log" "$work/console")"
grep -q '^installed' "$work/said" || die "GRUB is not installed: $(tail -n 5 "$work/said")"
mv "$image" "$out/installed.img"
rm -rf "$work"
echo "$key" >"$out/installed.key"
