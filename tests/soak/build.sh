#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: build.sh OUTDIR
# Makes what the long tests of the software processor boot: OUTDIR/root.ext4, a Debian 12 with systemd, gcc, perl, python
# and stress-ng, with perl's own tests and Linux's selftests/x86 in it; OUTDIR/initrd.img, which mounts it; and
# OUTDIR/generic/, Debian's kernel for real machines. Everything comes from the archives this machine's apt uses and is made
# again only when what makes it changes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/lock"
flock 9 # one build at a time
guest=$(dirname "$out")/guest

die() {
        echo "tests/soak/build.sh: $*" >&2
        exit 1
}

for tool in mmdebstrap:mmdebstrap mke2fs:e2fsprogs cpio:cpio openssl:openssl dpkg-deb:dpkg; do
        command -v "${tool%%:*}" >/dev/null || die "no ${tool%%:*}; run as root: apt-get install ${tool##*:}"
done
# Ownership of the files survives into the image only when root unpacks them.
[ "$(id -u)" -eq 0 ] || die "building the root disk needs root"

# shellcheck source=tests/guest/initramfs.sh
. "$here/../guest/initramfs.sh"
"$here/../guest/build.sh" "$guest"

packages=systemd,systemd-sysv,dbus,kmod,procps,gcc,gcc-multilib,libc6-dev,make,perl,python3,libpython3.11-testsuite
packages=$packages,openssl,stress-ng
key="$packages $(cat "$guest/key" "$here"/build.sh "$here"/selftests.sh "$here"/guest/* | sha256sum)"
[ -e "$out/root.ext4" ] && [ "$(cat "$out/key" 2>/dev/null)" = "$key" ] && exit 0
rm -f "$out/key" "$out/root.ext4"

root=$out/tree work=$out/work
rm -rf "$root" "$work"
mkdir -p "$work/lists/partial" "$work/none" "$work/perl" "$work/linux" "$out/download"

# $1: deb or deb-src, $2: releases
archives() {
        apt-get indextargets --format "$1 \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' \
                'Origin: Debian' | grep "$2" | sort -u
}
[ -n "$(archives deb bookworm)" ] || die "apt knows no Debian 12 archive; run: apt-get update"

download() { # PACKAGE
        ls "$out/download/$1"_*.deb >/dev/null 2>&1 ||
                (cd "$out/download" && apt-get -qq -o APT::Sandbox::User=root download "$1") || die "cannot download $1"
        ls "$out/download/$1"_*.deb | tail -n 1
}

# Sources of the release alone: not every mirror of the security archive has them.
source_apt() {
        apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/none" \
                -o Dir::State::Lists="$work/lists" -o APT::Sandbox::User=root "$@" >"$work/apt.log" 2>&1 ||
                { tail -n 5 "$work/apt.log" >&2; die "apt-get $1 failed"; }
}

echo "soak: unpacking the root disk's packages"
archives deb bookworm | mmdebstrap --quiet --variant=important --include=$packages \
        --aptopt='Acquire::Languages "none"' bookworm "$root" -
mkdir -p "$root/soak/perl/lib" "$root/soak/data"

echo "soak: fetching perl's source, for its tests"
archives deb-src ' bookworm ' >"$work/sources.list"
source_apt update
(cd "$out/download" && source_apt source --download-only perl)
tar -x -C "$work/perl" --strip-components=1 -f "$(ls "$out"/download/perl_*.orig.tar.xz | tail -n 1)"
cp -r "$work/perl/t" "$root/soak/perl/"
# The tests look for modules in ../lib, which an installed perl has in three places.
for part in "$root"/usr/share/perl/5.*.[0-9]* "$root"/usr/lib/x86_64-linux-gnu/perl/5.*.[0-9]* \
        "$root/usr/lib/x86_64-linux-gnu/perl-base"; do
        cp -rL "$part/." "$root/soak/perl/lib/"
done
cp -rn "$work/perl/lib/unicore" "$root/soak/perl/lib/"
ln -s /usr/bin/perl "$root/soak/perl/t/perl"

echo "soak: building Linux's selftests/x86"
dpkg-deb --fsys-tarfile "$(download linux-source-6.1)" | tar -xO ./usr/src/linux-source-6.1.tar.xz |
        tar -xJ -C "$work/linux" --strip-components=1 --wildcards 'linux-source-6.1/tools/testing/selftests/x86/*' \
                'linux-source-6.1/tools/testing/selftests/*.h' linux-source-6.1/arch/x86/include/asm/desc_defs.h
cp -r "$work/linux" "$root/soak/linux"
cp "$here/selftests.sh" "$root/soak/"
chroot "$root" /soak/selftests.sh /soak/linux/tools/testing/selftests /soak/x86
rm -rf "$root/soak/linux" "$root/soak/selftests.sh"

# What runs in the guest, and what the host computes for it to compare with.
cp "$here"/guest/*.sh "$here/guest/gcc.expected" "$root/soak/"
chmod 755 "$root"/soak/*.sh
openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 4000000 >"$root/soak/data/bytes"
(
        cd "$root/soak/data"
        for sum in md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum; do $sum bytes >$sum; done
        sh "$here/guest/digests.sh" >digests
)
cp "$here/guest/soak.service" "$root/etc/systemd/system/"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../soak.service "$root/etc/systemd/system/multi-user.target.wants/"
rm -rf "${root:?}"/var/cache/apt "$root"/var/lib/apt/lists "${root:?}"/boot/*
echo soak >"$root/etc/hostname"
: >"$root/etc/fstab"
# No first-boot questions, no waiting for devices nobody needs, nobody else on the console, no clock of its own.
systemd-id128 new >"$root/etc/machine-id"
for unit in getty.target serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
        e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-binfmt.service proc-sys-fs-binfmt_misc.automount; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mke2fs -q -t ext4 -L soak -d "$root" "$out/root.ext4" 3G

initramfs() { # DIRECTORY OF AN UNPACKED KERNEL, FILE TO WRITE
        tree=$work/initramfs
        rm -rf "$tree"
        mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/root"
        cp "$(command -v busybox)" "$tree/bin/busybox"
        cp "$here/guest/init" "$tree/init"
        chmod 755 "$tree/init"
        copy_modules "$1" "$tree" virtio_pci virtio_blk virtio-rng ext4 autofs4
        pack "$tree" "$work/initrd.cpio"
        gzip -1nc "$work/initrd.cpio" >"$2"
}
initramfs "$guest" "$out/initrd.img"

name=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1)
[ -n "$name" ] || die "apt knows no linux-image-amd64"
rm -rf "$out/generic"
mkdir -p "$out/generic/root"
dpkg-deb --fsys-tarfile "$(download "$name")" | tar -x -C "$out/generic/root" ./boot ./lib/modules
ls "$out/generic/root/lib/modules" >"$out/generic/release"
cp "$out"/generic/root/boot/vmlinuz-* "$out/generic/vmlinuz"
busybox depmod -b "$out/generic/root" "$(cat "$out/generic/release")"
initramfs "$out/generic" "$out/generic/initrd.img"

rm -rf "$work" "$root"
echo "$key" >"$out/key"
