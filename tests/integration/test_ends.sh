#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real ends of real VMs, without any hardware virtualization: the daemon on a bus of its own, the VMM on its software CPU,
# the guest of tests/guest/tiny.S. What needs a stock kernel is in tests/testbed/.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 40 daemon.log; }

: >daemon.log
cat >org.vivarium.vm1.service <<SERVICE
[D-BUS Service]
Name=org.vivarium.vm1
Exec=/bin/sh -c 'exec "$build/vivariumd" --bus-address=$address --runtime-dir=$work/run --vmm=$build/vivarium-vmm --launcher=$build/vivarium-launch \$(cat $work/options) 2>>$work/daemon.log'
SERVICE
: >options # more of them, for the next daemon
start_bus "<servicedir>$work</servicedir>"

vivctl --json=short capabilities | grep -q '"soft":{"available":true' || skip_all "no software CPU in this VMM"
daemon=$(busctl --address="$address" call org.freedesktop.DBus / org.freedesktop.DBus \
        GetConnectionUnixProcessID s org.vivarium.vm1 | cut -d' ' -f2)

tiny="--hypervisor soft --kernel $guest/tiny.elf --mem 64"
# ended SENTENCE ACT:TEXT REASON STATUS-OF-VMM STATUS-OF-VIVCTL [FAILURE-TEXT [FAILURE-BYTES]]
ended() {
        local status
        # shellcheck disable=SC2086 # options
        vivctl --json=short run $tiny --name end --params "tiny=$2" --console /dev/null >record.json 2>end.log
        status=$?
        same "$1" "$3 $4 $5 ${6:-} ${7:-}" "$(jq -r '"\(.DeathReason) \(.ExitStatus)"' record.json) $status $(
                [ $# -lt 6 ] || jq -r .FailureText record.json) $([ $# -lt 7 ] || jq -r '.DeathRecord["failure-bytes"]' record.json)"
}

code=17
for name in PVM_FIRMWARE_PUBLIC_KEY_MISMATCH PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED - - \
        MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE MICRODROID_PAYLOAD_HAS_CHANGED \
        MICRODROID_PAYLOAD_VERIFICATION_FAILED MICRODROID_INVALID_PAYLOAD_CONFIG MICRODROID_UNKNOWN_RUNTIME_ERROR; do
        [ $name = - ] || ended "a guest that says $name ends with it" "t:$name" $name 33 $code $name ${#name}
        [ $name = - ] || ended "a guest that says more than $name ends with it" "r:$name|a,b|c" $name 32 $code $name
        code=$((code + 1))
done
ended "a text that is no reason leaves the exit status to speak" t:NOT_A_REASON CRASH 33 16 NOT_A_REASON
ended "a hangup is ours to say, not the guest's" t:HANGUP CRASH 33 16 HANGUP
ended "half a reason is none" t:MICRODROID_PAYLOAD CRASH 33 16 MICRODROID_PAYLOAD
ended "a guest that triple-faults ends with CRASH" t: CRASH 33 16
ended "a guest that pulses the reset line ends with REBOOT" r: REBOOT 32 15
ended "1 MiB of noise on ttyS1 is drained, counted and means nothing" n: REBOOT 32 15
same "every byte of it was counted" 1048576 "$(jq '.DeathRecord["failure-bytes"]' record.json)"
same "no more than 50,000 bytes of it were kept" true "$(jq '.FailureText | length <= 50000' record.json)"

: >empty
head -c 100000 /dev/urandom >noise
for kernel in empty noise; do
        vivctl --json=short run --hypervisor soft --name bad --kernel $kernel --mem 64 --console /dev/null \
                >record.json 2>bad.log
        same "a kernel that is $kernel ends with START_FAILED" "14 START_FAILED 1" \
                "$? $(jq -r '"\(.DeathReason) \(.ExitStatus)"' record.json)"
done

# refuses WORD ARGUMENT...: the VMM ends with 35 and a message that has WORD
refuses() {
        local word=$1 status
        shift
        "$build/vivarium-vmm" --extended-status run "$@" 2>refusal >&2
        status=$?
        same "the VMM refuses $*" "35 yes" "$status $(grep -qF -- "$word" refusal && echo yes || cat refusal)"
}
refuses "two kernels" "$guest/tiny.elf" "$guest/tiny.elf"
refuses --mem --mem 64 --mem 32 "$guest/tiny.elf"
refuses --cpus --cpus 0 "$guest/tiny.elf"
refuses --gpu --gpu backend=2d "$guest/tiny.elf"
refuses num= --serial type=sink,hardware=serial,num=1 --serial type=sink,hardware=serial,num=1 "$guest/tiny.elf"
# Descriptors, children and files of the daemon; its memory in KiB, counted page by page.
holds() {
        echo "fds=$(find "/proc/$daemon/fd" -mindepth 1 | wc -l) children=$(wc -w <"/proc/$daemon/task/$daemon/children")" \
                "files=$(find "$work/run" | wc -l)"
}
holds_as_before() { [ "$(holds)" = "$before" ]; }
memory() { awk '/^Rss/ { print $2 }' "/proc/$daemon/smaps_rollup"; }
cycle() {
        # shellcheck disable=SC2086 # options
        vivctl run --detach --name cycle $tiny --params tiny=h: && vivctl kill cycle && vivctl release cycle
}
for _ in $(seq 20); do cycle >>cycle.log 2>&1; done
before=$(holds) kib=$(memory) done=0
for _ in $(seq 500); do
        cycle >>cycle.log 2>&1 || break
        done=$((done + 1))
done
same "500 VMs were created, started, killed and released" 500 $done
check "descriptors, children and files of the daemon are as before" eventually holds_as_before
echo "memory of the daemon: $kib KiB before, $(memory) KiB after"
same "the daemon's memory is as before, give or take 128 KiB" yes "$([ "$(memory)" -le $((kib + 128)) ] && echo yes || memory)"

# What ends a VMM without a daemon, from outside. A socket that is no more is one that was removed in good order.
begin_alone() { # COMMAND WORD...: goes before the VMM
        "$@" "$build/vivarium-vmm" run --hypervisor soft --mem 64 --socket alone.sock -p tiny=h: "$guest/tiny.elf" 2>alone.log &
        alone=$!
        eventually "$build/vivarium-vmm" state alone.sock >alone.state 2>&1
}
for signal in TERM INT HUP; do
        begin_alone env
        kill -$signal $alone
        wait $alone
        same "SIG$signal stops a VMM, which removes its socket" "0 gone" "$? $([ -e alone.sock ] && echo there || echo gone)"
done
begin_alone nohup
kill -HUP $alone
check "one that nohup has started goes on" "$build/vivarium-vmm" state alone.sock
check "until it is told to stop" "$build/vivarium-vmm" stop alone.sock
wait $alone
echo precious >disk.img
"$build/vivarium-vmm" run --hypervisor soft --mem 64 --socket disk.img -p tiny=r: "$guest/tiny.elf" 2>alone.log
same "a file that is no socket is not replaced by one" "1 precious" "$? $(cat disk.img)"
check "which the VMM says" grep -q 'disk.img: somebody listens there, or it is no socket' alone.log

# A daemon does not contradict itself, unless it is told what to tell its VMMs.
kill "$daemon"
tail --pid="$daemon" -f /dev/null
echo --vmm-log-level=nonsense >options
ended "a VMM that refuses its arguments ends with VMM_INVALID_ARGS" t: VMM_INVALID_ARGS 35 41
daemon=$(busctl --address="$address" call org.freedesktop.DBus / org.freedesktop.DBus \
        GetConnectionUnixProcessID s org.vivarium.vm1 | cut -d' ' -f2)
: >options
kill "$daemon"
tail --pid="$daemon" -f /dev/null

# shellcheck disable=SC2086 # options
vivctl run --detach --name orphan $tiny --params tiny=h: >orphan.log 2>&1
daemon=$(busctl --address="$address" call org.freedesktop.DBus / org.freedesktop.DBus \
        GetConnectionUnixProcessID s org.vivarium.vm1 | cut -d' ' -f2)
kill "$bus" && wait "$bus"
tail --pid="$daemon" -f /dev/null
pid=$(sed -n 's/.*orphan: running as process \([0-9]*\),.*/\1/p' daemon.log)
runs_on() { [ "$(readlink "/proc/$pid/exe")" = "$build/vivarium-vmm" ]; }
check "a daemon that loses its bus leaves its VMs running" eventually runs_on
kill -KILL "$pid"

[ $failed -eq 0 ]
