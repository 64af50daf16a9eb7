# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# SCSI disks and directories of the host with Debian's drivers: sourced by the integration test (software processor) and by the
# system test (KVM), behind control.sh, which has what is used here.

# blocks of 512 bytes that the host has given a file
given() { stat -c %b "$1"; }
failed_steps() { grep -a '^step .*: failed' "$1.console"; }

scenario_scsi() {
        local before steps file
        mkdir tree
        head -c 1000000 /dev/urandom >tree/from-host
        (cd tree && sha256sum from-host >from-host.sha256)
        mke2fs -q -t ext4 -d tree rw.img 32M
        head -c 1048576 /dev/urandom >ro.img
        head -c 4194304 /dev/urandom >holes.img
        before=$(sha256sum <ro.img)
        steps=module:virtio_scsi,module:sd_mod,scsi:0,scsi:1,scsi:2,ext4:scsi0,readonly:scsi1,run:blockdev+--getss+/dev/scsi1
        steps=$steps,run:cat+/sys/class/scsi_device/0:0:0:0/device/vpd_pg80,run:grep+-o+root=/dev/sda.rw+/proc/cmdline
        steps=$steps,run:blkdiscard+-o+1048576+-l+1048576+/dev/scsi2,run:echo+waiting
        steps=$steps,'run:eval+until+[+$(cat+/sys/block/$(readlink+/dev/scsi2)/size)+=+16384+];do+sleep+0.1;done'
        vm_begin scsi "$steps,poweroff" --scsi-block rw.img,id=the-serial,root --scsi-block ro.img,ro,block-size=4096 \
                --scsi-block holes.img
        expect "a guest has discarded blocks of a SCSI disk" scsi '^waiting'
        if [ "$(given holes.img)" -le $((8192 - 2048)) ]; then pass "they go back to the host"; else fail "they go back to the host"; fi
        if cmp -n 512 -i 2097152:0 holes.img /dev/zero >cmp.log 2>&1; then fail "what lies beside them does not"; else
                pass "what lies beside them does not"
        fi
        done_with "that disk is enlarged" scsi disk resize 26 8388608
        ends_with "a guest with SCSI disks powers off" 0
        same "each step of it worked, and it saw the new size" "" "$(failed_steps scsi)"
        expect "it mounts, reads, writes and unmounts ext4" scsi '^step ext4: ok scsi0'
        check "the file system is consistent" e2fsck -fn rw.img
        for file in from-guest from-guest.sha256; do debugfs -R "dump $file $file" rw.img 2>>debugfs.log; done
        check "the host reads what the guest wrote" sha256sum -c from-guest.sha256
        expect "the read-only disk refuses a write" scsi '^step readonly: ok scsi1'
        same "not a byte of it changed" "$before" "$(sha256sum <ro.img)"
        expect "its blocks are as long as asked" scsi '^4096'
        check "the serial number is there" grep -aq the-serial scsi.console
        expect "root= names the disk" scsi '^root=/dev/sda rw'
}

directory_servers() { # processes whose root the directory is
        find /proc/[0-9]*/root -maxdepth 0 -lname "$PWD/folder" 2>find.log | wc -l
}

# Copies of a directory as persistent memory, and the directory itself by a virtiofsd that the VMM starts, in one guest. Without
# the right to set user ids, only ourselves can be in its map, and there is no virtiofsd.
scenario_directories() {
        local us outsider steps share=() look=run:stat+-c+uid=%u:%n+/mnt/file+/mnt/theirs,run:cat+/mnt/below/link
        us=$(id -u)
        mkdir -p folder/below
        echo "of the host" >folder/file
        ln -s ../file folder/below/link
        echo theirs >folder/theirs
        outsider="0 $us 1"
        [ "$us" -ne 0 ] || { chown 1234:1234 folder/theirs && outsider="0 0 1,77 1234 1"; }
        steps=module:virtio_pmem,module:nd_pmem,run:mount+-t+ext2+/dev/pmem0+/mnt,$look,run:cp+/bin/busybox+/mnt/scratch,run:umount+/mnt
        steps=$steps,run:mount+-t+ext2+/dev/pmem1+/mnt,$look,run:df+-k+/mnt,run:df+-i+/mnt,run:umount+/mnt
        if [ "$us" -eq 0 ] && { [ -x /usr/lib/qemu/virtiofsd ] || [ -x /usr/libexec/virtiofsd ]; }; then
                share=(--shared-dir "$PWD/folder:work:type=fs:cache=never:uidmap=$outsider")
                steps=$steps,module:virtiofs,run:mount+-t+virtiofs+work+/mnt,$look
                steps=$steps,run:dd+if=/dev/urandom+of=/mnt/copy+bs=64k+count=16,run:sha256sum+/mnt/copy,run:umount+/mnt
        fi
        vm_begin folder "$steps,gpe:05,poweroff" "${share[@]}" --pmem-ext2 "$PWD/folder" \
                --pmem-ext2 "$PWD/folder:size=33554432:blocks_per_group=2048:inodes_per_group=512:uidmap=$outsider"
        vm_says folder '^waiting for event 05'
        same "a process serves a shared directory and sees nothing else" ${#share[@]} $((2 * $(directory_servers)))
        ask folder gpe 5
        ends_with "a guest with directories powers off" 0
        same "each step of it worked" "" "$(failed_steps folder)"
        no_server() { [ "$(directory_servers)" -eq 0 ]; }
        check "what served it has ended with it" eventually no_server
        same "the guest reads what is in the copies and in the directory" $((2 + ${#share[@]} / 2)) "$(grep -ac '^of the host' folder.console)"
        expect "our files are root's there" folder '^uid=0:/mnt/file'
        expect "the file system has the inodes of four groups" folder '^/dev/pmem1 *2048 '
        if [ -e folder/scratch ]; then fail "what the guest wrote to a copy is not in the directory"; else
                pass "what the guest wrote to a copy is not in the directory"
        fi
        if [ "$us" -eq 0 ]; then
                same "others' files are nobody's, or whose the map says" "uid=65534:/mnt/theirs uid=77:/mnt/theirs" \
                        "$(grep -ao '^uid=.*theirs' folder.console | tr -d '\r' | head -n 2 | xargs)"
        fi
        if [ ${#share[@]} -eq 0 ]; then
                skip "shared directories" "no virtiofsd, or supplementary groups that we may not give up"
                return
        fi
        same "that holds for the shared directory" uid=77:/mnt/theirs "$(grep -ao '^uid=.*theirs' folder.console | tr -d '\r' | tail -n 1)"
        same "what the guest wrote is in the directory" 1 "$(grep -c "^$(sha256sum <folder/copy | cut -c-64)  /mnt/copy" folder.console)"
}
