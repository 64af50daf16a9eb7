# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the system tests share. A test is a bash script that sources this file; its working directory is its own and empty.
set -u
export LC_ALL=C SYSTEMD_COLORS=0 SYSTEMD_PAGER=
tests=/usr/lib/vivarium-testbed
guest=/usr/lib/vivarium-testbed/guest
name=$(basename "$0" .sh)
work=/run/vivarium-testbed/${name#test_}.work
rm -rf "$work"
mkdir -p "$work"
cd "$work" || exit 1

BUS=org.vivarium.vm1
MANAGER=/org/vivarium/vm1

pass() { echo "ok $*"; }
fail() { echo "not ok $*"; }
skip() { echo "ok $1 # SKIP $2"; }

# check SENTENCE COMMAND...: the command's success is the result; its output goes to the log
check() {
        local sentence=$1
        shift
        echo "+ $*" >&2
        if "$@" >&2; then pass "$sentence"; else fail "$sentence"; fi
}

# same SENTENCE EXPECTED ACTUAL
same() {
        if [ "$2" = "$3" ]; then
                pass "$1"
        else
                fail "$1"
                echo "expected: $2" >&2
                echo "actual:   $3" >&2
        fi
}

# eventually COMMAND...: until it succeeds; only what hangs fails by the time that it has
eventually() {
        local end=$((SECONDS + 180))
        until "$@"; do
                [ $SECONDS -lt $end ] || return 1
                sleep 0.2
        done
}

# comes_to SENTENCE EXPECTED COMMAND...: what the command prints is that, perhaps after a while
comes_to() {
        local sentence=$1 expected=$2
        shift 2
        prints() { [ "$("$@")" = "$expected" ]; }
        eventually prints "$@"
        same "$sentence" "$expected" "$("$@")"
}

# at_most SENTENCE LIMIT ACTUAL
at_most() {
        echo "$1: $3 (limit $2)" >&2
        if [ -n "$3" ] && [ "$3" -le "$2" ]; then pass "$1: $3"; else fail "$1: ${3:-nothing}"; fi
}

# Kernel parameters of every stock guest: no self tests of ciphers nobody uses, and a panic that ends the machine.
stock_params="console=ttyS0 quiet panic=-1 cryptomgr.notests=1"

# run_guest NAME STEPS [VIVCTL OPTIONS...]: a stock kernel to its end; sets STATUS, writes NAME.console
run_guest() {
        local name=$1 steps=$2
        shift 2
        run_vm "$name" --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" --mem 256 \
                --params "$stock_params vivarium.test=$steps ${EXTRA_PARAMS:-}" "$@"
        sed "s/^/$name| /" "$name.console" >&2
}

# run_tiny NAME ACT:TEXT [VIVCTL OPTIONS...]: the guest of tests/guest/tiny.S to its end
run_tiny() {
        local name=$1 act=$2
        shift 2
        run_vm "$name" --kernel "$guest/tiny.elf" --mem 64 --params "tiny=$act" "$@"
}

# run_vm NAME VIVCTL-OPTIONS...: sets STATUS to what vivctl run exits with
run_vm() {
        local name=$1
        shift
        : >"$name.console"
        echo "+ vivctl run --name $name $*" >&2
        timeout 400 vivctl run --name "$name" --console "$name.console" "$@" >&2
        STATUS=$?
}

# start_vm NAME VIVCTL-OPTIONS...: the same, but returns once it runs; `vivctl release` or kill_vm end it
start_vm() {
        local name=$1
        shift
        : >"$name.console"
        echo "+ vivctl run --detach --name $name $*" >&2
        timeout 200 vivctl run --detach --name "$name" --console "$name.console" "$@" >&2
}

# vm_path NAME, vm_get NAME PROPERTY: over the bus, without our own client
vm_path() { busctl --json=short call $BUS $MANAGER $BUS.Manager GetVm s "$1" | jq -r '.data[0]'; }
vm_get() { busctl --json=short get-property $BUS "$(vm_path "$1")" $BUS.Vm "$2" | jq -r .data; }

# await_text FILE PATTERN [SECONDS]: until the file that a guest writes has a matching line
await_text() {
        timeout "${3:-240}" bash -c '
                exec 3< <(exec tail -n +1 -f "$1")
                tail=$!
                grep -q -m 1 -E -- "$2" <&3
                status=$?
                kill $tail
                exit $status' await "$1" "$2"
}

# await_death NAME [SECONDS]: until the journal has the record, which is written when all clean-up is done
await_death() {
        timeout "${2:-240}" bash -c '
                exec 3< <(exec journalctl -q -f -n all -o cat --output-fields=VM_DEATH_REASON "VM=$1")
                follower=$!
                grep -q -m 1 . < <(grep --line-buffered -E "^[A-Z_]+$" <&3)
                status=$?
                kill $follower
                exit $status' await "$1"
}

# death NAME FIELD: a field of the VM's death record in the journal, which journald may not have read yet
death() {
        journalctl --sync >&2
        journalctl -q --no-pager -o json "VM=$1" | jq -r "select(.VM_DEATH_REASON) | .$2" | tail -n 1
}

# expect_death SENTENCE NAME REASON [EXIT-STATUS-OF-VMM]: the last run_vm ended for this reason, and everybody says so
expect_death() {
        local code
        code=$(death "$2" VM_DEATH_REASON_CODE)
        if [ "$3" = SHUTDOWN ]; then
                code=0
        elif [ -n "$code" ] && [ "$code" -lt 100 ]; then
                code=$((10 + code))
        else
                code=$((40 + ${code:-0} - 100))
        fi
        same "$1" "$3 ${4:-any} vivctl=$code" \
                "$(death "$2" VM_DEATH_REASON) $([ -n "${4:-}" ] && death "$2" VM_EXIT_STATUS || echo any) vivctl=$STATUS"
}

# says NAME PATTERN SENTENCE: the guest's console has a line that matches
says() { check "$3" grep -qE -- "$2" "$1.console"; }
