# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the integration scripts share. A script sources this file first; its working directory is then its own and empty, and
# goes with it, as do its jobs. It ends with `[ $failed -eq 0 ]`.
set -u
export LC_ALL=C
here=$(realpath "$(dirname "$0")")
test_name=$(basename "$0" .sh)
build=$VIVARIUM_BUILD guest=${VIVARIUM_GUEST:-} vmm=$VIVARIUM_BUILD/vivarium-vmm
work=$(mktemp -d)
cd "$work" || exit 1
trap 'kill $(jobs -p) 2>"$work/kill.log"; wait; rm -rf "$work"' EXIT
failed=0

# Marks that tests/run-unit.sh counts.
pass() { echo "[       OK ] $1"; }
fail() {
        failed=$((failed + 1))
        echo "[  FAILED  ] ${1// /_}"
        explain
}
skip() { echo "SKIP $1: $2" && echo "[  SKIPPED ] ${1// /_}"; }
skip_all() { # REASON
        skip "$test_name" "$1"
        exit 0
}
# What helps to understand a failure; scripts have their own.
explain() { :; }

check() { # SENTENCE COMMAND...
        if "${@:2}"; then pass "$1"; else fail "$1"; fi
}
same() { # SENTENCE EXPECTED ACTUAL
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" && printf 'expected: %s\nactual:   %s\n' "$2" "$3"; fi
}
refuses() { ! "$@"; }
# Until the command succeeds; it has long, for only what hangs shall fail by it.
eventually() { # COMMAND...
        local end=$((SECONDS + 180))
        until "$@"; do
                [ $SECONDS -lt $end ] || return 1
                sleep 0.1
        done
}
# A socket is there before somebody listens. PATH: as it was bound
listening() { grep -q "^[^ ]* [^ ]* [^ ]* 00010000 .* $1\$" /proc/net/unix; }

# ---- what a script needs ----

need_guest() { # FILE...
        local file
        for file in vmlinuz "$@"; do
                [ -e "$guest/$file" ] || skip_all "no $file in $guest: make guest"
        done
}
# Starts the script again, where it may make interfaces.
need_network() {
        [ -z "${VIVARIUM_NETNS:-}" ] || return 0
        unshare -n ip tuntap add dev tap0 mode tap || skip_all "no TAP interfaces in a network namespace of our own"
        cd / && rm -rf "$work"
        VIVARIUM_NETNS=1 exec unshare -n "$here/$test_name.sh"
}

# ---- the service on a bus of its own ----

address=unix:path=$work/bus
# start_bus [MORE-CONFIGURATION]
start_bus() {
        cat >bus.conf <<-CONF
		<busconfig>
		  <type>session</type>
		  <listen>$address</listen>
		  <auth>EXTERNAL</auth>
		  ${1:-}
		  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
		</busconfig>
	CONF
        mkfifo bus.ready
        dbus-daemon --config-file=bus.conf --nofork --nopidfile --print-address=3 3>bus.ready 2>bus.log &
        bus=$!
        read -r _ <bus.ready
}
# start_daemon OPTIONS...: sets daemon; it says all in the file log
start_daemon() {
        XDG_RUNTIME_DIR=$work "$build/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --vmm="$vmm" \
                --launcher="$build/vivarium-launch" "$@" 2>>log &
        daemon=$!
        eventually serves
}
serves() { vivctl list >list.log 2>&1; }
stop_daemon() { kill "$daemon" && wait "$daemon"; }
vivctl() { timeout 200 "$build/vivctl" --address="$address" "$@"; }
