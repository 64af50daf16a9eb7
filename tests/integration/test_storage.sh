#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SCSI disks and directories of the host, in a stock guest on the software processor.
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
        $scsi,scsi:0,scsi:1,scsi:2,ext4:scsi0,readonly:scsi1,run:blockdev+--getss+/dev/scsi1,run:cat+/sys/class/scsi_device/0:0:0:0/device/vpd_pg80,run:blkdiscard+-o+1048576+-l+1048576+/dev/scsi2,poweroff \
        --scsi-block rw.img,id=the-serial --scsi-block ro.img,ro,block-size=4096 --scsi-block holes.img
check "it mounts, reads, writes and unmounts ext4" grep -aq '^step ext4: ok scsi0' console
check "the file system is consistent" sound rw.img
debugfs -R 'dump from-guest from-guest' rw.img 2>debugfs.log
debugfs -R 'dump from-guest.sha256 from-guest.sha256' rw.img 2>>debugfs.log
check "the host reads what the guest wrote" sha256sum -c from-guest.sha256
check "the read-only disk refuses a write" grep -aq '^step readonly: ok scsi1' console
same "not a byte of it changed" "$before" "$(sha256sum <ro.img)"
check "its blocks are as long as asked" grep -aq '^4096' console
check "the serial number is there" grep -aq 'the-serial' console
check "discarded blocks go back to the host" test "$(blocks holes.img)" -le $((8192 - 2048))
check "what lies beside them does not" refuses cmp -n 512 -i 2097152:0 holes.img /dev/zero

"$vmm" run --scsi-block a,root --block b,root k 2>refusal
check "two roots are refused" test $? -eq 35
"$vmm" run --scsi-block a,sparse=false k 2>refusal
check "a key that SCSI disks do not have is refused by name" grep -q "scsi-block.*sparse" refusal
"$vmm" run --scsi-block none.img k 2>refusal
check "an image that is not there is an error that names it" grep -q "none.img" refusal

# ---- a disk that grows, and then is the root ----
mkdir -p root/bin root/sbin root/dev root/proc root/sys
cp "$guest/initramfs/bin/busybox" root/bin/busybox
cat >root/sbin/init <<'INIT'
#!/bin/busybox sh
busybox grep ' / ' /proc/mounts
echo "of the guest" >/written
busybox sync
busybox poweroff -f
INIT
chmod 755 root/sbin/init
mke2fs -q -t ext4 -d root root.img 7M
: >console
boot "$scsi,disk:sda,resize:sda:16384,root" --scsi-block root.img,root --socket control &
within_a_minute grep -aq '^waiting for a size' console
"$vmm" disk resize 24 8388608 control
wait $!
same "the guest sees the new size of a SCSI disk" "0 step resize: ok sda:16384" "$? $(grep -a '^step resize' console | tr -d '\r')"
same "its root is that disk, to be written" "/dev/sda / ext4 rw" "$(grep -ao '^/dev/sda / ext4 rw' console)"
same "where it wrote" "of the guest" "$(debugfs -R 'cat written' root.img 2>debugfs.log)"

# ---- directories ----
if ! unshare --user true 2>unshare.log; then
        skip "directories of the host" "no user namespaces: $(cat unshare.log)"
        exit $((failed > 0))
fi
mkdir -p folder/below
echo "of the host" >folder/file
ln -s ../file folder/below/link
echo theirs >folder/theirs
us=$(id -u)
outsider="0 $us 1" # without the right to set user ids, there is only ourselves
[ "$us" -ne 0 ] || { chown 1234:1234 folder/theirs && outsider="0 0 1,77 1234 1"; }
look=run:stat+-c+uid=%u:%n+/mnt/file+/mnt/theirs,run:cat+/mnt/below/link
pmem=module:virtio_pmem,module:nd_pmem,run:mount+-t+ext2+/dev/pmem0+/mnt,$look,run:cp+/bin/busybox+/mnt/copy,run:umount+/mnt
pmem=$pmem,run:mount+-t+ext2+/dev/pmem1+/mnt,$look,run:df+-k+/mnt,run:df+-i+/mnt,run:umount+/mnt
ends_well "a guest with copies of a directory powers off" "$pmem,poweroff" --pmem-ext2 "$work/folder" \
        --pmem-ext2 "$work/folder:size=33554432:blocks_per_group=2048:inodes_per_group=512:uidmap=$outsider"
same "it reads what is in them" 2 "$(grep -ac '^of the host' console)"
check "our files are root's there" grep -aq '^uid=0:/mnt/file' console
check "the file system has the inodes of four groups" grep -aq '^/dev/pmem1 *2048 ' console
check "what the guest wrote is not in the directory" refuses test -e folder/copy
if [ "$us" -eq 0 ]; then
        same "others' files are nobody's, or whose the map says" "uid=65534:/mnt/theirs uid=77:/mnt/theirs" \
                "$(grep -ao '^uid=.*theirs' console | tr -d '\r' | xargs)"
fi
"$vmm" run --hypervisor soft --pmem-ext2 "$work/none" "$guest/vmlinuz" 2>refusal
check "a directory that is not there is an error that names it" grep -q -e "--pmem-ext2: $work/none: No such file" refusal
head -c 20971520 /dev/urandom >folder/large
"$vmm" run --hypervisor soft --pmem-ext2 "$work/folder" "$guest/vmlinuz" 2>refusal
check "files that do not fit are an error that names mke2fs" grep -q 'mke2fs failed' refusal
rm folder/large

if [ ! -x /usr/lib/qemu/virtiofsd ] && [ ! -x /usr/libexec/virtiofsd ] || [ "$us" -ne 0 ]; then
        skip "shared directories" "no virtiofsd, or supplementary groups that we may not give up"
        exit $((failed > 0))
fi
shared=module:virtiofs,run:mount+-t+virtiofs+work+/mnt,$look,run:cp+/bin/busybox+/mnt/copy,run:umount+/mnt
servers() { find /proc/[0-9]*/root -maxdepth 0 -lname "$work/folder" 2>find.log | wc -l; } # processes whose root it is
: >console
boot "$shared,gpe:05,poweroff" --socket control --shared-dir "$work/folder:work:type=fs:cache=never:uidmap=$outsider" &
within_a_minute grep -aq '^waiting for event 05' console
same "a process serves the directory and sees nothing else" 1 "$(servers)"
"$vmm" gpe 5 control
wait $!
same "a guest with a shared directory powers off" "0 " "$? $(grep -a '^step .*: failed' console)"
same "what served it has ended with it" 0 "$(servers)"
check "it reads what is in it" grep -aq '^of the host' console
check "its owners are whom the map says" grep -aq '^uid=77:/mnt/theirs' console
check "what the guest wrote is in the directory" cmp folder/copy "$guest/initramfs/bin/busybox"
"$vmm" run --shared-dir "$work/folder:work" k 2>refusal
same "crosvm's default of 9p is refused by name" "35 1" "$? $(grep -c -e '--shared-dir: type: 9p.*type=fs' refusal)"
"$vmm" run --shared-dir "$work/folder:work:type=fs:dax=true" k 2>refusal
same "a key that is not honoured is refused by name" "35 1" "$? $(grep -c -e '--shared-dir: dax' refusal)"
[ $failed -eq 0 ]
