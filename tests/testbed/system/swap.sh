# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# Guest memory that goes to a file and comes back while a stock guest works with it: sourced by the integration test (software
# processor), behind control.sh, which has what is used here.

swap_sum=32 # quarters of a MiB that the guest keeps in memory and looks at

# What the guest's shell, which reads its console, is told first. A round looks at all it has, reads the disk, and replaces a part.
swap_load='
modprobe virtio_balloon; mkdir /t
one() { dd if=/dev/urandom of=/t/$1 bs=64k count=4 2>/dev/null; md5sum /t/$1 >/t/$1.sum; }
disk() { dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | md5sum; }
round() { cat /t/*.sum | md5sum -c >/tmp/sums 2>&1 && [ "$(disk)" = "$want" ] && one $(($1 % count)) && echo "round $1 ok" || echo "round $1 failed"; }
want=$(disk); i=0; while [ $i -lt $count ]; do one $i; i=$((i + 1)); done; echo loaded'

tell() { echo "$2" >"$1.in"; }                                       # NAME LINE
swap_state() { ask "$1" swap status | sed 's/.*"state":"\([^"]*\)".*/\1/'; } # NAME
swap_number() { ask "$1" swap status | sed "s/.*\"$2\":\([0-9]*\).*/\1/"; }  # NAME METRIC
swap_becomes() {                                                     # NAME STATE
        timeout 240 bash -c 'until "$0" swap status "$1" | grep -q "\"state\":\"$2\""; do sleep 0.1; done' "$vmm" "$1.sock" "$2"
}
# Of the memfd and of the swap file, whose names tell.
swap_blocks() { # NAME PATTERN
        local fd
        for fd in /proc/"$(pgrep -P "$vm" || echo "$vm")"/fd/*; do
                case $(readlink "$fd") in *$2*) stat -L -c %b "$fd" ;; esac
        done
}
swap_round() { # SENTENCE N
        tell swap "round $2"
        expect "$1" swap "^round $2 (ok|failed)"
        if grep -q "^round $2 ok" swap.console; then pass "$1: all of it is right"; else fail "$1: all of it is right"; fi
}
less() { # SENTENCE A B: A < B
        if [ "${2:-x}" -lt "${3:-y}" ]; then pass "$1"; else fail "$1" && echo "$2 is not less than $3" >&2; fi
}

# scenario_swap: in the directory swap.d, which it makes
scenario_swap() {
        local before
        mkdir -p swap.d
        head -c 1048576 /dev/urandom >swap.img
        vm_begin swap "run:sh+/proc/self/fd/0,poweroff" --swap swap.d --block swap.img --balloon-page-reporting
        vm_says swap '^vivarium-guest: init'
        tell swap "count=$swap_sum; $(echo "$swap_load" | tr '\n' ';' | sed 's/^;//; s/{;/{/g')"
        vm_says swap '^loaded'
        same "it begins with all memory in its place" Ready "$(swap_state swap)"
        before=$(swap_blocks swap memfd:crosvm_guest)
        if ask swap swap out; then fail "nothing is written that was not moved before"; else pass "nothing is written that was not moved before"; fi

        done_with "memory is moved to staging memory" swap swap enable
        less "it has left the memfd" "$(swap_blocks swap memfd:crosvm_guest)" $((before / 2))
        swap_round "the guest goes on from staging memory" 1
        done_with "memory that it took back is moved again" swap swap enable
        done_with "what need not be written is dropped" swap swap trim
        swap_becomes swap Pending
        done_with "the rest is written" swap swap out
        swap_becomes swap Active
        less "the memfd has little" "$(swap_blocks swap memfd:crosvm_guest)" $((before / 2))
        less "the file has much" $((before / 2)) "$(swap_blocks swap swap.d/)"
        less "the status says so" $((before / 16)) "$(swap_number swap swap_pages)"
        swap_round "the guest goes on from the file" 2
        less "it came from there" $((swap_sum * 32)) "$(swap_number swap copied_from_file_pages)"

        tell swap "round 3"
        done_with "memory is moved while the guest works" swap swap enable
        done_with "and written" swap swap out
        done_with "and brought back" swap swap disable
        expect "the guest is through with its work" swap '^round 3 (ok|failed)'
        if grep -q '^round 3 ok' swap.console; then pass "and all was right"; else fail "and all was right"; fi
        swap_becomes swap Ready
        same "the file is empty" 0 "$(swap_blocks swap swap.d/)"

        done_with "memory is moved once more" swap swap enable
        done_with "and written once more" swap swap out
        swap_becomes swap Active
        done_with "the guest gives up memory that is away" swap balloon --wait 67108864
        done_with "and has it again" swap balloon --wait 0
        done_with "all of memory is dumped" swap ramdump core
        if grep -q 'round 2 ok' core; then pass "and the dump has what was away"; else fail "and the dump has what was away"; fi
        done_with "memory comes back, the file goes slowly" swap swap disable --slow-file-cleanup
        swap_becomes swap Ready
        swap_round "the guest has all that it had" 4
        tell swap exit
        ends_with "it powers off" 0
        same "nothing was complained of" "" "$(grep -E 'error|warning' swap.log | grep -v 'SwapOut: not while')"
}

# scenario_swap_snapshot: a snapshot of a machine whose memory is away
scenario_swap_snapshot() {
        vm_begin swap "run:sh+/proc/self/fd/0,poweroff" --swap swap.d --block swap.img
        vm_says swap '^vivarium-guest: init'
        tell swap "count=8; $(echo "$swap_load" | tr '\n' ';' | sed 's/^;//; s/{;/{/g')"
        vm_says swap '^loaded'
        done_with "memory is moved away" swap swap enable
        done_with "a snapshot is taken of it" swap snapshot take swap.snapshot
        done_with "the machine ends" swap stop
        ends_with "by that" 0
        vm_begin swap "run:sh+/proc/self/fd/0,poweroff" --swap swap.d --block swap.img --restore swap.snapshot
        vm_answers swap
        swap_round "another goes on from the snapshot" 5
        tell swap exit
        ends_with "and powers off" 0
}
