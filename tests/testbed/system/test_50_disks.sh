#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest writes to its disk is on the disk; what it must not write is not.
. "$(dirname "$0")/lib.sh"

mkdir tree
head -c 1000000 /dev/urandom >tree/from-host
(cd tree && sha256sum from-host >from-host.sha256)
mke2fs -q -t ext4 -d tree rw.img 32M
head -c 1048576 /dev/urandom >ro.img
before=$(sha256sum <ro.img)

run_guest disks disks,ext4,readonly:vdb,disks,poweroff --cpus 2 --disk rw.img --disk ro.img:ro
expect_death "a guest with two disks powers off" disks SHUTDOWN 0
says disks '^from-host: OK' "the guest reads what the host wrote"
says disks '^step ext4: ok' "the guest mounts, writes, flushes and unmounts ext4"
says disks '^disk vdb sectors=2048 ro=1' "the guest sees the second disk as read-only"
says disks '^step readonly: ok' "the read-only disk refuses a write"
same "not a byte of the read-only disk changed" "$before" "$(sha256sum <ro.img)"
check "the file system is consistent" e2fsck -fn rw.img
debugfs -R 'dump from-guest from-guest' rw.img 2>/dev/null
debugfs -R 'dump from-guest.sha256 from-guest.sha256' rw.img 2>/dev/null
check "the host reads what the guest wrote" sha256sum -c from-guest.sha256
