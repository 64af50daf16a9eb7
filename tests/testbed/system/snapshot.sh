# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016,SC2054
# Snapshots of a stock guest, taken while it works, and what goes on from them: sourced by the integration test (software
# processor) and by the system test (KVM), behind control.sh, which has what is used here.

# snap_begin NAME CPUS OPTIONS...: as vm_begin, for a guest of the same kind each time; its kernel command line is $snap_steps
snap_begin() {
        local name=$1 cpus=$2
        shift 2
        rm -f "$name.in" "$name.sock"
        mkfifo "$name.in"
        : >"$name.console"
        timeout 600 "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 192 --cpus "$cpus" --socket "$name.sock" \
                --initrd "$guest/initrd.img" --serial type=stdout,stdin,hardware=serial,num=1,console=true \
                -p "quiet panic=-1 cryptomgr.notests=1 vivarium.test=$snap_steps" "$@" "$guest/vmlinuz" \
                <>"$name.in" >"$name.console" 2>"$name.log" &
        vm=$!
}

counts_of() { sed -n 's/^count \([0-9]*\).*/\1/p' "$1.console"; }
# Whether a console counts in steps of one.
counts_on() { counts_of "$1" | awk 'NR > 1 && $1 != last + 1 { bad = 1 } { last = $1 } END { exit bad || NR < 3 }'; }

# snap_ends SENTENCE NAME: the guest is told to stop counting, and does what is behind that
snap_ends() {
        echo stop >"$2.in"
        expect "$1: the disks read as before, the clock did not jump" "$2" '^step count: ok'
        if counts_on "$2"; then pass "$1: no count is missing"; else
                fail "$1: no count is missing" && counts_of "$2" | xargs >&2
        fi
        expect "$1: the guest's connections to the host work" "$2" '^vsock_peer: put 100000 ok'
        [ -z "$snap_net" ] || expect "$1: so does its network" "$2" '^step run: ok ping'
        expect "$1: it has entropy" "$2" '^step rng: ok'
        expect "$1: it asks for a line" "$2" '^vivarium-guest: reading'
        echo something >"$2.in"
        expect "$1: and hears it" "$2" '^heard something'
        ends_with "$1: it powers off" 0
}

# scenario_snapshot CPUS: snap_net: options of a network card of which the host has 10.9.0.1, or nothing
scenario_snapshot() {
        local cpus=$1 service first options packed='run:grep+-c+^.{34}1+-E' # the feature's bit
        [ -e counted.img ] || head -c 1048576 /dev/urandom >counted.img
        [ -e counted.scsi ] || head -c 1048576 /dev/urandom >counted.scsi
        mkdir -p snap.d
        snap_steps="${snap_net:+net:10.9.0.2/24,$packed+/sys/class/net/eth0/device/features,}$packed+/sys/block/vda/device/features,module:vmw_vsock_virtio_transport,module:virtio_scsi,module:sd_mod,scsi:0,count:vda+scsi0,run:vsock_peer+put+vsock:2:5000+100000${snap_net:+,run:ping+-c+1+-W+30+10.9.0.1},rng,echo:heard,poweroff"
        # shellcheck disable=SC2206 # words
        options=(--block counted.img,packed-queue --scsi-block counted.scsi --vsock cid=7,socket-dir=snap.d $snap_net)
        rm -f snap.d/vsock_5000
        begin_peer service.log "$guest/vsock_peer" serve unix:snap.d/vsock_5000
        service=$!
        snap_begin taken "$cpus" "${options[@]}"
        vm_says taken '^count 5'
        expect "the rings of its disk are packed" taken '^step run: ok grep.*/sys/block/vda'
        [ -z "$snap_net" ] || expect "and those of its card" taken '^step run: ok grep.*/sys/class/net'
        done_with "a snapshot of $cpus vCPUs is taken while they work" taken snapshot take "vm.$cpus"
        snap_ends "the machine goes on, $cpus vCPUs" taken
        snap_begin restored "$cpus" --restore "vm.$cpus" "${options[@]}"
        expect "a machine with $cpus vCPUs goes on from it" restored '^count [0-9]+'
        first=$(counts_of restored | head -n 1)
        same "where it was" yes "$([ "$first" -gt 5 ] && echo yes)"
        vm_says restored "^count $((first + 3))"
        snap_ends "restored, $cpus vCPUs" restored
        snap_begin again "$cpus" --restore "vm.$cpus" --suspended "${options[@]}"
        vm_answers again
        done_with "one that has run nothing yet is saved in turn" again snapshot take "vm.$cpus.again"
        # KVM's local APIC timers go on while a machine is paused.
        [ "$hypervisor" != soft ] || same "to the same byte" 0 "$(cmp "vm.$cpus" "vm.$cpus.again" >cmp.log && echo 0)"
        done_with "it goes on when it is let" again resume --full
        expect "and counts" again '^count [0-9]+'
        same "from the same spot" "$first" "$(counts_of again | head -n 1)"
        ask again stop
        ends_with "it can be stopped" 0
        kill $service
}

# refused_because SENTENCE PATTERN COMMAND...: it fails, for a reason that is told
refused_because() {
        if ! "${@:3}" >refused.log 2>&1 && grep -qE -- "$2" refused.log; then pass "$1"; else
                fail "$1" && cat refused.log >&2
        fi
}
try_restore() { # SNAPSHOT OPTIONS...
        timeout 240 "$vmm" run --hypervisor "$hypervisor" --restore "$@" "$guest/tiny.elf" </dev/null
}

# What is refused, with a machine that has hardly a state
scenario_snapshot_refusals() {
        local small=(--mem 64 --cpus 1 --serial type=sink,hardware=serial,num=1)
        truncate -s 1M one.img
        truncate -s 2M two.img
        timeout 600 "$vmm" run --hypervisor "$hypervisor" --suspended --socket small.sock "${small[@]}" --block one.img \
                "$guest/tiny.elf" >small.console 2>small.log &
        vm=$!
        vm_answers small
        done_with "a suspended machine can be saved too" small snapshot take small.snap
        same "and stays suspended" '{"State":{"vcpus":"suspended","devices":"suspended"}}' "$(ask small state)"
        refused_because "a file that is there is not overwritten" 'small.snap: File exists' \
                "$vmm" snapshot take small.snap small.sock
        same "whoever may not read the guest may not read its snapshot" 600 "$(stat -c %a small.snap)"
        ask small stop
        ends_with "it ends" 0

        refused_because "other memory is refused" 'memory in bytes is 67108864 in the snapshot' \
                try_restore small.snap "${small[@]/64/128}" --block one.img
        refused_because "another number of processors is refused" 'number of vCPUs is 1 in the snapshot and 2 here' \
                try_restore small.snap "${small[@]/#1/2}" --block one.img
        refused_because "another model of processor is refused" "the processor's CPUID leaf 0x1.0 is" \
                try_restore small.snap "${small[@]}" --block one.img --cpu-features=-sse4_2
        if [ "$hypervisor" = kvm ]; then
                hypervisor=soft refused_because "another hypervisor is refused" 'the hypervisor is kvm in the snapshot and soft here' \
                        try_restore small.snap "${small[@]}" --block one.img
        fi
        refused_because "one device more is refused" 'is none in the snapshot and virtio-pci here' \
                try_restore small.snap "${small[@]}" --block one.img --block two.img
        refused_because "a missing device is refused" 'PCI slot 3 is virtio-pci in the snapshot and none here' try_restore small.snap "${small[@]}"
        refused_because "another device is refused" 'the device is virtio-blk in the snapshot' \
                try_restore small.snap "${small[@]}" --vsock cid=7,socket-dir=.
        refused_because "a disk of another size is refused" 'disk in sectors is 2048 in the snapshot and 4096 here' \
                try_restore small.snap "${small[@]}" --block two.img
        cp --sparse=always small.snap bad.snap
        printf X | dd of=bad.snap bs=1 seek=$(($(stat -c %s bad.snap) - 9)) conv=notrunc status=none
        refused_because "one byte of memory that is wrong is refused" 'bad.snap.*the checksum of its memory at 63 MiB is wrong' \
                try_restore bad.snap "${small[@]}" --block one.img
        printf X | dd of=small.snap bs=1 seek=200 conv=notrunc status=none
        refused_because "a damaged snapshot is refused" 'the checksum of its state is wrong' try_restore small.snap "${small[@]}" --block one.img
        for bytes in 0 63 64 4096 70000; do
                head -c $bytes small.snap >cut.snap
                refused_because "its first $bytes bytes are refused" 'no snapshot|not finished|bytes and not the|too short' \
                        try_restore cut.snap "${small[@]}" --block one.img
        done
        truncate -s -1 small.snap
        refused_because "a shorter one is refused" 'bytes and not the' try_restore small.snap "${small[@]}" --block one.img
        refused_because "a file that is none is refused" 'no snapshot' try_restore one.img "${small[@]}" --block one.img

        timeout 600 "$vmm" run --hypervisor "$hypervisor" --suspended --socket small.sock "${small[@]}" --pmem two.img \
                "$guest/tiny.elf" >small.console 2>small.log &
        vm=$!
        vm_answers small
        refused_because "a device that cannot be saved is named" 'virtio-pmem cannot be saved' \
                "$vmm" snapshot take none.snap small.sock
        same "and leaves no file behind" no "$([ -e none.snap ] || echo no)"
        ask small stop
        ends_with "its machine goes on, and ends" 0
}
