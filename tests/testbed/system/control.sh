# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# What a VM's control socket must do, with a stock guest: sourced by the integration test (software processor) and by the
# system test (KVM). The sourcing script sets $vmm, $guest and $hypervisor, and has pass(), fail() and same().

# vm_begin NAME STEPS [OPTIONS...]: a guest in the background; NAME.sock, NAME.console, NAME.in are its ends, $vm its pid.
# VIVARIUM_LIFE (600): the seconds it may live.
vm_begin() {
        local name=$1 steps=$2
        shift 2
        rm -f "$name.in" "$name.sock"
        mkfifo "$name.in"
        : >"$name.console"
        timeout "${VIVARIUM_LIFE:-600}" "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 256 --cpus 2 --socket "$name.sock" \
                --initrd "$guest/initrd.img" --serial type=stdout,stdin,hardware=serial,num=1,console=true \
                -p "quiet panic=-1 cryptomgr.notests=1 vivarium.test=$steps" "$@" "$guest/vmlinuz" \
                <>"$name.in" >"$name.console" 2>"$name.log" &
        vm=$!
}

# vm_says NAME PATTERN [SECONDS]: until the guest printed a line that matches. VIVARIUM_PATIENCE (240): the seconds if not given,
# more than any machine takes.
vm_says() {
        file_says "$1.console" "$2" "${3:-}" || tail -n 5 "$1.console" "$1.log" >&2
}

# file_says FILE PATTERN [SECONDS]: the same for a file that somebody writes
file_says() {
        timeout "${3:-${VIVARIUM_PATIENCE:-240}}" bash -c '
                exec 3< <(exec tail -n +1 -f "$1")
                tail=$!
                grep -q -m 1 -E -- "$2" <&3
                status=$?
                kill $tail
                exit $status' await "$1" "$2"
}

# begin_peer LOG COMMAND...: a server in the background, until it serves, which it says; $! is its pid
begin_peer() {
        : >"$1"
        "${@:2}" >"$1" 2>&1 &
        file_says "$1" ': serving '
}

# expect SENTENCE NAME PATTERN: the guest says so
expect() {
        if vm_says "$2" "$3" && grep -qE -- "$3" "$2.console"; then pass "$1"; else fail "$1"; fi
}

# ask NAME VERB...: a request to the VM; its answer is on standard output
ask() {
        local name=$1
        shift
        timeout 240 "$vmm" "$@" "$name.sock" 2>>"$name.log"
}

# vm_answers NAME: until its control socket does; what it says of its state is in the file answer
vm_answers() {
        timeout 240 bash -c 'until "$0" state "$1.sock"; do sleep 0.1; done' "$vmm" "$1" >answer 2>>"$1.log"
}

# done_with SENTENCE NAME VERB...: the VM does it
done_with() {
        local sentence=$1
        shift
        if ask "$@" >answer; then pass "$sentence"; else
                fail "$sentence"
                tail -n 1 "$1.log" >&2
        fi
}

ends_with() { # SENTENCE STATUS
        local status
        wait "$vm"
        status=$?
        same "$1" "$2" "$status"
}

scenario_buttons() {
        vm_begin buttons button:Power_Button,button:Sleep_Button,gpe:03,poweroff
        vm_says buttons '^waiting for the Power'
        done_with "the power button is pressed" buttons powerbtn
        expect "the guest's button driver reports it" buttons '^step button: ok Power'
        vm_says buttons '^waiting for the Sleep'
        done_with "the sleep button is pressed" buttons sleepbtn
        expect "the guest's button driver reports that too" buttons '^step button: ok Sleep'
        vm_says buttons '^waiting for event 03'
        done_with "event 3 is raised" buttons gpe 3
        expect "the guest counts it" buttons '^step gpe: ok 03'
        if ask buttons gpe 16 || ask buttons balloon_stats; then
                fail "what is not there is refused"
        else pass "what is not there is refused"; fi
        ends_with "the guest powers off afterwards" 0
}

scenario_disks() {
        local first second
        truncate -s 8M first.img
        truncate -s 4M second.img
        vm_begin disks plug:vdb,resize:vdb:16384,resize:vda:40960,unplug:vdb,plug:vdb,unplug:vdb,unplug:vda,gpe:02,poweroff \
                --block first.img
        vm_says disks '^waiting for vdb'
        done_with "a disk is plugged in" disks disk add second.img
        second=$(jq -r .PciHotPlugResponse.bus answer)
        first=$(ask disks stats | jq -r ".Stats.devices | keys[] | select(. != \"virtio-blk@$second\") |
                capture(\"^virtio-blk@(?<slot>.*)\").slot")
        same "they are two on the bus" yes "$([ "$first" -gt 0 ] && [ "$second" -gt 0 ] && [ "$first" != "$second" ] && echo yes)"
        expect "the guest reads it" disks '^step plug: ok vdb 8192'
        done_with "it is enlarged" disks disk resize 1 8388608
        expect "the guest sees its new end" disks '^step resize: ok vdb:16384'
        done_with "so is one from the command line" disks disk resize 0 20971520
        expect "the guest sees that too" disks '^step resize: ok vda:40960'
        same "both are told with their sizes" "0 $first 20971520 false|1 $second 8388608 false" \
                "$(ask disks disk list | jq -r '[.Disks[] | "\(.disk) \(.bus) \(.bytes) \(.ro)"] | join("|")')"
        done_with "the guest lets go of it" disks disk remove "$second"
        expect "it is gone" disks '^step unplug: ok vdb'
        done_with "a read-only one takes its place" disks disk add second.img,ro=true
        if ask disks disk resize 1 4096; then fail "which keeps its size"; else pass "which keeps its size"; fi
        vm_says disks '^step plug: ok vdb 16384' # its driver is done with it
        done_with "and goes" disks disk remove "$second"
        done_with "as does the one from the command line" disks disk remove "$first"
        if ask disks disk remove "$first"; then fail "but only once"; else pass "but only once"; fi
        ask disks gpe 2 # not before: the guest's end would overtake the last answer
        ends_with "the guest powers off without disks" 0
        same "the images have the sizes that were asked for" "20971520 8388608" "$(stat -c %s first.img second.img | xargs)"
}

# A bus of 28 devices, which has places for three disks more; no processor runs.
scenario_hotplug_slots() {
        local slot full=(--hypervisor "$hypervisor" --mem 64 --no-balloon)
        truncate -s 1M more.img
        for slot in $(seq 19); do full+=(--block "more.img,ro,lock=false"); done
        for slot in 18 19 1a 1b 1c 1d 1e 1f; do full+=(--stub-pci-device "0:$slot.0,vendor=0x1234,device=0x5678"); done
        timeout 600 "$vmm" --extended-status run "${full[@]}" --pci-hotplug-slots 4 "$guest/tiny.elf" >slots.console 2>slots.log
        same "a bus without the places that were asked for is refused" "35 yes" \
                "$? $(grep -q 'the bus takes 31' slots.log && echo yes)"
        timeout 600 "$vmm" --extended-status run "${full[@]}" --pci-hotplug-slots 3 --suspended-vcpus --socket slots.sock \
                "$guest/tiny.elf" >slots.console 2>slots.log &
        vm=$!
        vm_answers slots
        for slot in first second third; do
                done_with "the $slot of three disks has a place" slots disk add more.img,ro=true,lock=false
        done
        if ! ask slots disk add more.img,ro=true,lock=false && grep -q 'slots are taken' slots.log; then pass "a fourth has none"; else
                fail "a fourth has none"
        fi
        done_with "the VM is stopped" slots stop
        ends_with "and ends" 0
}

# ROUNDS [BEFORE AFTER OPTIONS...]: suspensions in turn of the vCPUs alone and of the devices too, under load, and one that a
# guest would notice. BEFORE and AFTER: steps around the load.
scenario_suspend() {
        local rounds=$1 before=${2:-} after=${3:-} began suspended took guest_took
        shift $(($# < 3 ? $# : 3))
        truncate -s 16M load.img
        began=$(date +%s%3N)
        vm_begin suspend "${before}load:vda,${after}poweroff" --block load.img "$@"
        vm_says suspend '^load: running'
        took=$(($(date +%s%3N) - began)) # at least until the guest took its time
        "$guest/suspender" suspend.sock "$rounds" >suspender.log 2>&1
        same "$rounds suspensions are done and undone" 0 $?
        cat suspender.log >&2
        done_with "one more is to last" suspend suspend --full
        same "its state is told" '{"State":{"vcpus":"suspended","devices":"suspended"}}' "$(ask suspend state)"
        if ask suspend resume; then fail "vCPUs do not run without devices"; else pass "vCPUs do not run without devices"; fi
        # Longer than what comes before the guest's time: then no measure of the rest, however late, hides it.
        suspended=$((took + 2000))
        sleep "$((suspended / 1000)).$(printf %03d $((suspended % 1000)))"
        done_with "and to end" suspend resume --full
        sleep 1 # for rounds to follow
        ask suspend stats | jq -c .Stats.machine.pauses >&2
        echo stop >suspend.in
        expect "no interrupt was lost and no clock jumped" suspend '^step load: ok'
        took=$(($(date +%s%3N) - began))
        guest_took=$(sed -n 's/^load: .* rounds in \([0-9]*\) msec.*/\1/p' suspend.console)
        if [ "${guest_took:-$took}" -le $((took - suspended)) ]; then pass "the guest's time stood still"; else
                fail "the guest's time stood still: $guest_took of $took msec, of which $suspended were none of its"
        fi
        ends_with "the guest goes on to its end" 0
        sed -n '/^load: .* rounds/p' suspend.console >&2
}

# MIB: a disk of as many random mebibytes is copied to another by the guest, which reads both again
scenario_disk_bytes() {
        local sum
        dd if=/dev/urandom of=from.img bs=1M count="$1" 2>dd.log
        truncate -s "$1M" to.img
        sum=$(sha256sum <from.img)
        vm_begin bytes "run:dd+if=/dev/vda+of=/dev/vdb+bs=1M+iflag=direct+oflag=direct+conv=fsync,$(
                )run:sha256sum+/dev/vda+/dev/vdb,poweroff" --block from.img,ro=true --block to.img
        expect "the guest reads $1 MiB as they are" bytes "^${sum%% *}  /dev/vda"
        expect "and what it wrote" bytes "^${sum%% *}  /dev/vdb"
        ends_with "it powers off" 0
        same "the other disk's file has the same bytes" "$sum" "$(sha256sum <to.img)"
        grep 'copied' bytes.console >&2
        rm -f from.img to.img
}

scenario_state() {
        vm_begin state hang --suspended
        vm_answers state
        same "a VM can start suspended" '{"State":{"vcpus":"suspended","devices":"suspended"}}' "$(tail -n 1 answer)"
        same "and does not run" "" "$(cat state.console)"
        done_with "until it is resumed" state resume --full
        expect "then it boots" state 'init reached'
        same "its vCPUs are threads of the VMM" "2 vcpu0 vcpu1" "$(ask state vcpus | jq -r '.VcpuPidTidResponse.pid_tid_map
                | length, .[]' | xargs | sed 's/[][,]/ /g' | (
                        read -r n pid tid pid1 tid1
                        echo "$n $(cat "/proc/$pid/task/$tid/comm") $(cat "/proc/$pid1/task/$tid1/comm")"))"
        if [ "$(ask state stats | jq '.Stats | .vcpus["0"].pio_writes > 100 and .lines["4"].raised > 0 and
                .machine.pauses.count > 0 and
                any(.devices | keys[]; startswith("virtio-rng"))')" = true ]; then
                pass "counters count"
        else fail "counters count"; fi
        done_with "it is stopped" state stop
        ends_with "and says that it was" 0
        vm_begin awake hang --suspended-vcpus
        vm_answers awake
        same "its vCPUs alone can be suspended at the start" '{"State":{"vcpus":"suspended","devices":"running"}}' "$(tail -n 1 answer)"
        same "and none of them runs" "" "$(cat awake.console)"
        done_with "they are resumed alone" awake resume
        expect "then it boots as well" awake 'init reached'
        ask awake stop
        ends_with "and is stopped" 0
}
