# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What makes an initramfs; for the scripts that build the test guest and the testbed's host.

# $1: directory with an unpacked kernel (release, root/); $2: tree to fill; further arguments: modules it must be able to
# `modprobe`, with what they depend on.
copy_modules() {
        kernel=$1/root/lib/modules/$(cat "$1/release")
        to=$2/lib/modules/$(cat "$1/release")
        shift 2
        mkdir -p "$to"
        for module in "$@"; do
                line=$(grep "/$module\.ko:" "$kernel/modules.dep") || continue # built in
                echo "$line" | tr -d : | tr ' ' '\n' | sed '/^$/d' | while read -r path; do
                        mkdir -p "$to/$(dirname "$path")"
                        cp "$kernel/$path" "$to/$path"
                        grep "^$path:" "$kernel/modules.dep" >>"$to/modules.dep"
                done
        done
        sort -u -o "$to/modules.dep" "$to/modules.dep"
}

# $1: tree, $2: cpio archive to write; every file belongs to root whoever builds.
pack() {
        (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$2.new"
        mv "$2.new" "$2"
}

# $1: tree, $2: initramfs to extend by it; the kernel unpacks one archive after the other, but sees a plain one only at a multiple
# of four bytes, which a compressed one before it need not end at.
append() {
        truncate -s %4 "$2"
        (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | cat >>"$2"
}
