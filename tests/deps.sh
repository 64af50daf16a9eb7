#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: deps.sh [--print]
# Sees to it that Debian's packages for building and testing are there: installs what is missing when root, and otherwise
# prints the command that would.
set -eu

build="gcc libc6-dev make pkg-config libsystemd-dev libjson-c-dev libcmocka-dev liburing-dev libseccomp-dev zlib1g-dev liblzma-dev
       liblz4-dev libzstd-dev libnl-3-dev libnl-route-3-dev"
lint="clang clang-format clang-tidy python3-minimal shellcheck"
run="dbus systemd procps util-linux jq gdb seabios ovmf zsh"
guest="passt iproute2 qemu-system-x86 busybox-static mmdebstrap cpio lz4 gzip xz-utils zstd e2fsprogs binutils
       fdisk mtools grub-common grub-pc-bin grub-efi-amd64-bin"

if [ "${1:-}" = --print ]; then
        echo $build $lint $run $guest
        exit 0
fi

missing=
for package in $build $lint $run $guest; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
        echo "These packages are missing; run as root: apt-get update && apt-get install --no-install-recommends$missing" >&2
        exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get -q -y update && apt-get -q -y install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        exit 1
fi
rm -f "$log"
