#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: libvirt.sh DOMAINS IDLE-SECONDS
# What bench_scale measures of our daemon, of a libvirtd of our own that is nobody else's: lines `WORD VALUE`, nothing where
# libvirt is not installed. The domains of memory, cpu, list and sweep are defined and do not run, for so many QEMUs fit on no
# machine that this runs on; death and cycle are of one QEMU without a disk, whose firmware finds nothing to boot. A domain
# that does not run has fewer statistics, too: all this is in libvirt's favour.
set -eu
domains=$1 idle=$2
for program in libvirtd virsh qemu-system-x86_64 setpriv; do
        command -v $program >/dev/null || PATH=$PATH:/usr/sbin command -v $program >/dev/null || exit 0
done
[ "$(id -u)" = 0 ] || exit 0
PATH=$PATH:/usr/sbin
work=$(mktemp -d)
mkdir "$work/r" "$work/c" "$work/k"
chown -R nobody "$work"
# As a user's, so that it has files, sockets and domains of its own.
as_nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$work" XDG_RUNTIME_DIR="$work/r"
        XDG_CONFIG_HOME="$work/c" XDG_CACHE_HOME="$work/k")
connected=("${as_nobody[@]}" virsh -q -c "qemu:///session?socket=$work/r/libvirt/libvirt-sock")
virsh() { "${connected[@]}" "$@"; }

"${as_nobody[@]}" libvirtd --timeout 0 >"$work/log" 2>&1 &
daemon=$! watcher=
trap 'virsh destroy bench-live >>"$work/log" 2>&1 || :; kill $daemon $watcher; wait $daemon 2>/dev/null || :; rm -rf "$work"' EXIT
for _ in $(seq 100); do
        virsh uri >>"$work/log" 2>&1 && break
        kill -0 $daemon 2>>"$work/log" || { tail -n 3 "$work/log" >&2; exit 1; }
        sleep 0.2
done

domain() { # NAME
        echo "<domain type='qemu'><name>$1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>" \
                "<os><type arch='x86_64' machine='q35'>hvm</type></os>" \
                "<devices><emulator>$(command -v qemu-system-x86_64)</emulator>" \
                "<serial type='null'/><memballoon model='none'/></devices></domain>"
}
memory() { awk '/^VmRSS/ { print $2 }' /proc/$daemon/status; }
cpu_nsec() { cat /proc/$daemon/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f", n }'; }
median() { grep -o 'Time: [0-9.]*' | awk '{ print $2 }' | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
many() { # COUNT COMMAND: the median of its milliseconds, by virsh's own clock
        yes "$2" | head -n "$1" | virsh -t 2>>"$work/log" | median
}

for i in $(seq "$domains"); do
        domain "bench$i" >"$work/$i.xml"
        echo "define $work/$i.xml"
done >"$work/definitions"
domain bench-live >"$work/live.xml"
head -n 20 "$work/definitions" | virsh >>"$work/log" 2>&1
before=$(memory)
tail -n +21 "$work/definitions" | virsh >>"$work/log" 2>&1
awk -v kib=$(($(memory) - before)) -v n=$((domains - 20)) 'BEGIN { printf "memory %.2f\n", kib / n }'
before=$(cpu_nsec)
sleep "$idle"
awk -v n=$(($(cpu_nsec) - before)) -v s="$idle" 'BEGIN { printf "cpu %.3f\n", n / s / 1e7 }'
echo "list $(many 21 'list --all')"
echo "sweep $(many 21 domstats)"

virsh define "$work/live.xml" >>"$work/log"
mkfifo "$work/events"
"${as_nobody[@]}" stdbuf -oL "${connected[@]:${#as_nobody[@]}}" event --loop --event lifecycle --domain bench-live \
        >"$work/events" 2>>"$work/log" &
watcher=$!
exec 3<"$work/events"
for _ in $(seq 11); do
        virsh start bench-live >>"$work/log"
        until read -r line <&3 && [[ $line == *Resumed* || $line == *Started* ]]; do :; done
        pid=$(cat "$work/r/libvirt/qemu/run/bench-live.pid")
        start=$EPOCHREALTIME
        kill -9 "$pid"
        until read -r line <&3 && [[ $line == *Stopped* ]]; do :; done
        end=$EPOCHREALTIME
        echo "Time: $(((${end/./} - ${start/./}) / 1000)).$(printf %03d $(((${end/./} - ${start/./}) % 1000)))"
done | median | sed 's/^/death /'
exec 3<&-
virsh undefine bench-live >>"$work/log"

start=$EPOCHREALTIME cycles=10
for _ in $(seq $cycles); do
        echo "define $work/live.xml"
        echo "start bench-live"
        echo "destroy bench-live"
        echo "undefine bench-live"
done | virsh >>"$work/log" 2>&1
end=$EPOCHREALTIME
awk -v n=$cycles -v us=$((${end/./} - ${start/./})) 'BEGIN { printf "cycle %.2f\n", n * 1e6 / us }'
