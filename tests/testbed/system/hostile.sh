# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A guest that abuses every device (tests/guest/hostile/), for both hypervisors. The caller has pass(), fail() and same(),
# and sets vmm, guest and hypervisor. VIVARIUM_SANITIZED=1: the VMM is built with sanitizers, which no filter allows and
# which need memory of their own.

# The VMM's own memory, in KiB, after it has been abused, and at the most.
own_max=16384
[ -z "${VIVARIUM_SANITIZED:-}" ] || own_max=262144
export ASAN_OPTIONS="${ASAN_OPTIONS:-quarantine_size_mb=32}"
virtiofsd=/usr/lib/qemu/virtiofsd

# What the VMM needs of its own: disks of which the first must read as it was, a process for the folder, a listener.
hostile_begin() {
        mkdir -p hostile.sockets hostile.folder
        rm -f hostile.fs hostile.sock
        printf 'HOSTILE\0' >hostile.img
        cp hostile.img hostile-scsi.img
        cp hostile.img hostile-packed.img
        truncate -s 1M hostile.img hostile-packed.img hostile-rw.img hostile-scsi.img hostile-scsi-rw.img
        truncate -s 2M hostile.pmem
        : >hostile.console
        helpers=
        extra=
        if [ -x $virtiofsd ]; then
                $virtiofsd --socket-path=hostile.fs -o source="$PWD/hostile.folder" -o sandbox=chroot >fs.log 2>&1 &
                helpers=$!
                extra="--vhost-user-connect-timeout-ms 60000 --vhost-user-fs hostile.fs,tag=work"
        fi
        ! command -v passt >passt.path || extra="$extra --net user --net user,packed-queue"
        # shellcheck disable=SC2154 # set by the caller
        if [ -x "$guest/vsock_peer" ]; then
                "$guest/vsock_peer" serve unix:hostile.sockets/vsock_7 >peer.log 2>&1 &
                helpers="$helpers $!"
        fi
        [ -z "${VIVARIUM_SANITIZED:-}" ] || extra="$extra --disable-sandbox"
}

# own_of PID: kibibytes that are neither the guest's nor a file's
own_of() {
        sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>>hostile.proc
}

ticks_of() { # PID: hundredths of a second
        sed 's/.*) //' "/proc/$1/stat" 2>>hostile.proc | awk '{ print $12 + $13 }'
}

# scenario_hostile ROUNDS SEED...; the seed "firmware" is that of hostile.rom, which has its own number of rounds
scenario_hostile() {
        local rounds=$1 seed pid child before status peak own used helpers extra boot expected
        shift
        for seed in "$@"; do
                hostile_begin
                boot="--params hostile=$seed,$rounds $guest/hostile.elf" expected="$seed $rounds"
                if [ "$seed" = firmware ]; then
                        cp "$guest/hostile.rom" hostile.rom
                        truncate -s 256K hostile.vars
                        boot="--bios hostile.rom --pflash hostile.vars" expected="9 20"
                fi
                # shellcheck disable=SC2086,SC2154 # several; set by the caller
                timeout 580 "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 64 --cpus 1 --socket hostile.sock \
                        --block hostile.img,ro --block hostile-rw.img --block hostile-packed.img,ro,packed-queue --pmem hostile.pmem --balloon-page-reporting \
                        --scsi-block hostile-scsi.img,ro --scsi-block hostile-scsi-rw.img \
                        --vsock socket-dir=hostile.sockets,cid=5 $extra \
                        --serial type=file,path=hostile.console,hardware=serial,num=1 \
                        --serial type=file,path=hostile.virtio,hardware=virtio-console,num=1 \
                        $boot 2>hostile.log &
                pid=$!
                peak=0 used=none
                while [ -e "/proc/$pid" ]; do
                        read -r child _ <"/proc/$pid/task/$pid/children" # which has no newline
                        own=$(own_of "$child")
                        [ "${own:-0}" -le "$peak" ] || peak=$own
                        ! grep -aq '^hostile: \(rests\|FAILED\)' hostile.console || break
                        sleep 0.05
                done 2>>hostile.proc
                # What is under way ends; what does not rest never does.
                for _ in $(seq 60); do
                        [ -e "/proc/$pid" ] || break
                        before=$(ticks_of "$child")
                        sleep 1
                        [ -z "$before" ] || used=$(($(ticks_of "$child") - before))
                        [ "$used" = none ] || [ "$used" -gt 5 ] || break
                done
                [ ! -e "/proc/$pid" ] || "$vmm" stop hostile.sock 2>>hostile.log
                wait $pid
                status=$?
                tr -d '\r' <hostile.console | tail -n 3 | sed 's/^/hostile| /' >&2
                same "a hostile guest, seed $seed, ends its rounds and finds its devices working" "0 hostile: ok $expected" \
                        "$status $(grep -ao 'hostile: ok.*\|hostile: FAILED.*' hostile.console | tail -n 1)"
                if [ "$peak" -gt 0 ] && [ "$peak" -le $own_max ]; then
                        pass "the VMM's own memory stays bounded: at most $peak KiB, seed $seed"
                else
                        fail "the VMM's own memory stays bounded: $peak KiB, seed $seed"
                fi
                if [ "$used" != none ] && [ "$used" -le 5 ]; then
                        pass "it is at rest when the guest is: $used hundredths of a second in one, seed $seed"
                else
                        fail "it is at rest when the guest is: $used hundredths of a second in one, seed $seed"
                fi
                same "its log stays bounded, seed $seed" yes "$([ "$(wc -l <hostile.log)" -le 1000 ] && echo yes)"
                [ "$status" -eq 0 ] || tail -n 40 hostile.log >&2
                # shellcheck disable=SC2086 # several
                [ -z "$helpers" ] || kill $helpers 2>>hostile.proc || : # which may be gone
        done
}
