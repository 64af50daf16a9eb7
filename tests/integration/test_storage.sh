#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SCSI disks and directories of the host, in a stock guest on the software processor.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
need_guest initrd.img
explain() { tail -n 40 ./*.console ./*.log; }
# shellcheck disable=SC2034 # read by the scenarios
hypervisor=soft scenarios=$here/../testbed/system
# shellcheck source=tests/testbed/system/control.sh
. "$scenarios/control.sh"
# shellcheck source=tests/testbed/system/storage.sh
. "$scenarios/storage.sh"

# ---- SCSI disks ----
scenario_scsi
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
vm_begin root "module:virtio_scsi,module:sd_mod,disk:sda,resize:sda:16384,root" --scsi-block root.img,root
vm_says root '^waiting for a size'
ask root disk resize 24 8388608
ends_with "a guest whose root is a SCSI disk powers off" 0
expect "it has seen the disk grow" root '^step resize: ok sda:16384'
same "its root is that disk, to be written" "/dev/sda / ext4 rw" "$(grep -ao '^/dev/sda / ext4 rw' root.console)"
same "where it wrote" "of the guest" "$(debugfs -R 'cat written' root.img 2>debugfs.log)"

# ---- directories ----
if ! unshare --user true 2>unshare.log; then
        skip "directories of the host" "no user namespaces: $(cat unshare.log)"
        exit $((failed > 0))
fi
scenario_directories
"$vmm" run --hypervisor soft --pmem-ext2 "$work/none" "$guest/vmlinuz" 2>refusal
check "a directory that is not there is an error that names it" grep -q -e "--pmem-ext2: $work/none: No such file" refusal
head -c 20971520 /dev/urandom >folder/large
"$vmm" run --hypervisor soft --pmem-ext2 "$work/folder" "$guest/vmlinuz" 2>refusal
check "files that do not fit are an error that names mke2fs" grep -q 'mke2fs failed' refusal
"$vmm" run --shared-dir "$work/folder:work" k 2>refusal
same "crosvm's default of 9p is refused by name" "35 1" "$? $(grep -c -e '--shared-dir: type: 9p.*type=fs' refusal)"
"$vmm" run --shared-dir "$work/folder:work:type=fs:dax=true" k 2>refusal
same "a key that is not honoured is refused by name" "35 1" "$? $(grep -c -e '--shared-dir: dax' refusal)"
[ $failed -eq 0 ]
