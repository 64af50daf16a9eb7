#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the stock guest that the tests boot: Debian's cloud kernel, unpacked from its package, and an initramfs of
# busybox, the kernel's own modules and tests/guest/init.
#
# usage: build.sh OUTDIR
#
# OUTDIR gets vmlinuz, vmlinux (the same kernel as ELF), config, release, modules/, initrd.img and vsock_peer. The kernel package is
# downloaded once and kept; everything else is made again when the package, busybox or the init script changed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)

die() {
        echo "tests/guest/build.sh: $*" >&2
        exit 1
}

missing=
for tool in busybox:busybox-static gcc:gcc dpkg-deb:dpkg apt-get:apt cpio:cpio lz4:lz4 gzip:gzip; do
        command -v "${tool%%:*}" >/dev/null || missing="$missing ${tool##*:}"
done
# shellcheck source=tests/guest/initramfs.sh
. "$here/initramfs.sh"
[ -z "$missing" ] || die "missing tools; run as root: apt-get install$missing"
busybox=$(command -v busybox)
if ldd "$busybox" >/dev/null 2>&1; then
        die "$busybox needs shared libraries; run as root: apt-get install busybox-static"
fi

# The meta package names the current kernel; a kernel that was downloaded before serves when the archive cannot be asked.
kernel_name() {
        apt-cache depends linux-image-cloud-amd64 2>/dev/null |
                sed -n 's/.*Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p' | head -n 1
}
find_package() {
        name=$(kernel_name)
        # apt may have been told of no archive's contents yet
        if [ -z "$name" ] && [ "$(id -u)" -eq 0 ] && apt-get -qq update >/dev/null 2>&1; then
                name=$(kernel_name)
        fi
        if [ -n "$name" ] && ! ls "$out/package/${name}"_*.deb >/dev/null 2>&1; then
                mkdir -p "$out/package"
                # apt downloads as user _apt, who may not be able to write here; the warning is harmless.
                (cd "$out/package" && apt-get -qq download "$name" 2>"$out/package/log") || {
                        cat "$out/package/log" >&2
                        name=
                }
        fi
        if [ -n "$name" ]; then
                ls "$out/package/${name}"_*.deb | tail -n 1
        else
                ls -t "$out"/package/linux-image-*.deb 2>/dev/null | head -n 1
        fi
}

deb=$(find_package)
[ -n "$deb" ] || die "no kernel package: apt knows none to download; run as root: apt-get update"

key=$(cat "$deb" "$busybox" "$here/init" "$here"/*.sh "$here"/*.c | sha256sum | cut -d' ' -f1)
[ "$(cat "$out/key" 2>/dev/null)" = "$key" ] && exit 0
rm -f "$out/key"

rm -rf "$out/root" "$out/initramfs"
mkdir -p "$out/root"
dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$out/root" ./boot ./lib/modules
release=$(ls "$out/root/lib/modules")
echo "$release" >"$out/release"
cp "$out/root/boot/vmlinuz-$release" "$out/vmlinuz"
cp "$out/root/boot/config-$release" "$out/config"
ln -sfn root/lib/modules "$out/modules"
busybox depmod -b "$out/root" "$release"

# The payload of the bzImage: setup sectors at 0x1f1, payload offset and length at 0x248 and 0x24c of the boot protocol's
# header. Its last four bytes are the unpacked size, which lz4 need not see.
number() { od -An -t "u$2" -j "$1" -N "$2" "$out/vmlinuz" | tr -d ' '; }
offset=$((($(number 497 1) + 1) * 512 + $(number 584 4)))
length=$(($(number 588 4) - 4))
if ! tail -c +$((offset + 1)) "$out/vmlinuz" | head -c "$length" | lz4 -dcq - >"$out/vmlinux" 2>/dev/null; then
        rm -f "$out/vmlinux" # packed by another method: the tests of an ELF kernel say so and are skipped
fi

tree=$out/initramfs
mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/mnt" "$tree/tmp"
cp "$busybox" "$tree/bin/busybox"
cp "$here/init" "$tree/init"
chmod 755 "$tree/init"
# The other ends of the network and socket tests run on the host, too.
for peer in netpeer vsock_peer; do
        gcc -std=gnu17 -D_GNU_SOURCE -O2 -march=x86-64 -static -o "$out/$peer" "$here/$peer.c"
        cp "$out/$peer" "$tree/bin/"
done
gcc -std=gnu17 -D_GNU_SOURCE -O2 -march=x86-64 -static -o "$tree/bin/splitlock" "$here/splitlock.c"
copy_modules "$out" "$tree" virtio_pci virtio_blk virtio_console virtio-rng virtio_balloon virtio_net virtiofs virtio_pmem nd_pmem \
        virtio_scsi sd_mod \
        pvpanic-mmio pvpanic-pci ramoops wdat_wdt button evdev vmw_vsock_virtio_transport
gcc -std=gnu17 -D_GNU_SOURCE -O2 -march=x86-64 -static -o "$out/suspender" "$here/suspender.c" # of the host alone
pack "$tree" "$out/initrd.cpio"
gzip -9nc "$out/initrd.cpio" >"$out/initrd.img"

echo "$key" >"$out/key"
echo "tests/guest: $release in $out"
