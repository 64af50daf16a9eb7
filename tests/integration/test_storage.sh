#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SCSI disks, in a stock guest on the software processor.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
need_guest initrd.img
explain() { tail -n 40 console 2>tail.log; cat vmm.log; }

# boot STEPS ARGUMENTS...: the guest's console is in the file console
boot() {
        timeout 120 "$vmm" --extended-status run --hypervisor soft --mem 256 --cpus 2 --initrd "$guest/initrd.img" \
                --serial type=file,path=console,hardware=serial,num=1,console=true \
                --params "quiet panic=-1 vivarium.test=$1" "${@:2}" "$guest/vmlinuz" </dev/null 2>vmm.log
}
ends_well() { # SENTENCE STEPS ARGUMENTS...
        : >console
        boot "${@:2}"
        same "$1" "0 " "$? $(grep -a '^step .*: failed' console)"
}
sound() { e2fsck -fn "$1" >e2fsck.log 2>&1; }
blocks() { stat -c %b "$1"; } # of 512 bytes, that the host has given the file

# ---- SCSI disks ----
mkdir tree
head -c 1000000 /dev/urandom >tree/from-host
(cd tree && sha256sum from-host >from-host.sha256)
mke2fs -q -t ext4 -d tree rw.img 32M
head -c 1048576 /dev/urandom >ro.img
head -c 4194304 /dev/urandom >holes.img
before=$(sha256sum <ro.img)
scsi=module:virtio_scsi,module:sd_mod
ends_well "a guest with SCSI disks powers off" \
        $scsi,disk:sdb,disk:sdc,ext4:sda,readonly:sdb,run:cat+/sys/block/sdb/queue/logical_block_size,run:cat+/sys/block/sda/device/vpd_pg80,run:blkdiscard+-o+1048576+-l+1048576+/dev/sdc,poweroff \
        --scsi-block rw.img,id=the-serial --scsi-block ro.img,ro,block-size=4096 --scsi-block holes.img
check "it mounts, reads, writes and unmounts ext4" grep -aq '^step ext4: ok sda' console
check "the file system is consistent" sound rw.img
debugfs -R 'dump from-guest from-guest' rw.img 2>debugfs.log
debugfs -R 'dump from-guest.sha256 from-guest.sha256' rw.img 2>>debugfs.log
check "the host reads what the guest wrote" sha256sum -c from-guest.sha256
check "the read-only disk refuses a write" grep -aq '^step readonly: ok sdb' console
same "not a byte of it changed" "$before" "$(sha256sum <ro.img)"
check "its blocks are as long as asked" grep -aq '^4096' console
check "the serial number is there" grep -aq 'the-serial' console
check "discarded blocks go back to the host" test "$(blocks holes.img)" -le $((8192 - 2048))
check "what lies beside them does not" refuses cmp -n 512 -i 2097152:0 holes.img /dev/zero

: >console
boot "$scsi,disk:sda,run:grep+-o+root=/dev/sda.ro+/proc/cmdline,poweroff" --scsi-block rw.img,ro,root
check "root= names the disk" grep -aq '^root=/dev/sda ro' console
"$vmm" run --scsi-block a,root --block b,root k 2>refusal
check "two roots are refused" test $? -eq 35
"$vmm" run --scsi-block a,sparse=false k 2>refusal
check "a key that SCSI disks do not have is refused by name" grep -q "scsi-block.*sparse" refusal
"$vmm" run --scsi-block none.img k 2>refusal
check "an image that is not there is an error that names it" grep -q "none.img" refusal

# ---- a disk that grows ----
: >console
boot "$scsi,disk:sda,resize:sda:16384,poweroff" --scsi-block holes.img --socket control &
within_a_minute grep -aq '^waiting for a size' console
"$vmm" disk resize 24 8388608 control
wait $!
same "the guest sees the new size of a SCSI disk" "0 step resize: ok sda:16384" "$? $(grep -a '^step resize' console | tr -d '\r')"
[ $failed -eq 0 ]
