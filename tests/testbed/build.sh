#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: build.sh OUTDIR
# Makes the root disk of the testbed's host, OUTDIR/base.ext4: Debian 12 with systemd, D-Bus and the libraries our programs
# need, from the archives this machine's apt uses. Made again only when the list of packages changes.
set -eu

out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"
packages=systemd,systemd-sysv,dbus,kmod,procps,e2fsprogs,jq,libjson-c5,liburing2,liblz4-1,liblzma5,libzstd1,zlib1g
# machinectl, and who answers it
packages=$packages,systemd-container
# what the network's tests use: ip, passt, udev, for which systemd-networkd waits, and the libraries of virtiofsd, whose package would bring all of QEMU along
packages=$packages,iproute2,passt,udev,libnl-3-200,libnl-route-3-200,libseccomp2,libcap-ng0,libglib2.0-0,libnuma1
# what qemu-storage-daemon links, and a debugger
packages=$packages,libaio1,libfuse3-3,libgnutls30,gdb-minimal
# Rights and the users' own buses.
packages=$packages,polkitd,dbus-user-session,libpam-systemd
# vivctl -H
packages=$packages,openssh-server
key="$packages $(sha256sum <"$0")"
[ -e "$out/base.ext4" ] && [ "$(cat "$out/base.key" 2>/dev/null)" = "$key" ] && exit 0

for tool in mmdebstrap mke2fs; do
        command -v $tool >/dev/null || { echo "testbed: no $tool; run: make deps" >&2; exit 1; }
done
# Ownership of the files survives into the image only when root unpacks them.
[ "$(id -u)" -eq 0 ] || { echo "testbed: building the host image needs root" >&2; exit 1; }

sources=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' \
        'Origin: Debian' | grep bookworm | sort -u)
[ -n "$sources" ] || { echo "testbed: apt knows no Debian 12 archive; run: apt-get update" >&2; exit 1; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
echo "testbed: building the host image from Debian packages"
# Documents and translations only make the image bigger.
echo "$sources" | mmdebstrap --quiet --variant=essential --include=$packages \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --aptopt='Acquire::Languages "none"' \
        bookworm "$tree/root" -
# apt downloads as user _apt, who may not be able to write here; the warning is harmless.
(cd "$tree" && apt-get -qq download qemu-system-common 2>log) || { cat "$tree/log" >&2; exit 1; }
dpkg-deb --fsys-tarfile "$tree"/qemu-system-common_*.deb | tar -x -C "$tree/root" \
        ./usr/lib/qemu/virtiofsd ./usr/bin/qemu-storage-daemon
cd "$tree/root"
rm -rf var/cache/apt var/lib/apt/lists boot/*
echo vivarium-testbed >etc/hostname
: >etc/fstab
# The image boots many times from the same state: no first-boot questions, no waiting for devices nobody needs.
systemd-id128 new >etc/machine-id
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >etc/systemd/journald.conf.d/volatile.conf
for unit in getty.target systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
        e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-pstore.service systemd-update-utmp.service \
        systemd-binfmt.service systemd-resolved.service ssh.service; do
        ln -sf /dev/null "etc/systemd/system/$unit"
done
cd - >/dev/null
rm -f "$out/base.ext4"
mke2fs -q -t ext4 -L vivarium -d "$tree/root" "$out/base.ext4" 1G
echo "$key" >"$out/base.key"
