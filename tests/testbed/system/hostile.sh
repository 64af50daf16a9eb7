# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A guest that abuses every device (tests/guest/hostile.c), for both hypervisors. The caller has pass(), fail() and same(),
# and sets vmm, guest and hypervisor.

# scenario_hostile ROUNDS SEED...
scenario_hostile() {
        local rounds=$1 seed pid child status peak own
        shift
        mkdir -p hostile.sockets
        printf 'HOSTILE\0' >hostile.img
        truncate -s 1M hostile.img
        # what a device may be told to write goes to a disk of its own: the first must read as it was
        truncate -s 1M hostile-rw.img
        for seed in "$@"; do
                # shellcheck disable=SC2154 # set by the caller
                timeout 250 "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 64 --cpus 1 \
                        --block hostile.img,ro --block hostile-rw.img --balloon-page-reporting \
                        --vsock socket-dir=hostile.sockets,cid=5 \
                        --serial type=file,path=hostile.console,hardware=serial,num=1 \
                        --serial type=file,path=hostile.virtio,hardware=virtio-console,num=1 \
                        --params "hostile=$seed,$rounds" "$guest/hostile.elf" 2>hostile.log &
                pid=$!
                peak=0
                while [ -e "/proc/$pid" ]; do
                        # shellcheck disable=SC2013 # words are meant
                        for child in $(cat "/proc/$pid/task/$pid/children" 2>>hostile.proc); do
                                own=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$child/status" 2>>hostile.proc)
                                [ "${own:-0}" -le "$peak" ] || peak=$own
                        done
                        sleep 0.05
                done
                wait $pid
                status=$?
                tr -d '\r' <hostile.console | tail -n 3 | sed 's/^/hostile| /' >&2
                same "a hostile guest, seed $seed, ends by itself and finds its devices working" "0 hostile: ok $seed $rounds" \
                        "$status $(grep -ao 'hostile: ok.*\|hostile: FAILED.*' hostile.console | tail -n 1)"
                if [ "$peak" -gt 0 ] && [ "$peak" -le 65536 ]; then
                        pass "the VMM's own memory stays bounded: at most $peak KiB, seed $seed"
                else
                        fail "the VMM's own memory stays bounded: $peak KiB, seed $seed"
                fi
                same "its log stays bounded, seed $seed" yes "$([ "$(wc -l <hostile.log)" -le 1000 ] && echo yes)"
        done
}
