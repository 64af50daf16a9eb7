#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh BUILD-DIR [PREFIX]
# Measures and compares; each figure becomes one JSON object in o/bench/results.jsonl and one row of the table at the end.
# A ratio above 1 says that ours is the better one. Nothing here passes or fails by a time.
set -eu
cd "$(dirname "$0")/../.."
build=$1 only=${2:-}
out=o/bench
mkdir -p $out
[ -n "${BENCH_CARDS:-}" ] || : >$out/results.jsonl

# What bench_scale() measures has no name in common; PREFIX "scale" is all of it.
scale="daemon.rss.per_vm daemon.cpu.idle1000 dbus.list1000 metrics.sweep1000 death.latency cycle.fake.rate"
# What a race on disks and one on cards tell, after a prefix.
disks="randread.qd1 randread.qd32 randwrite.qd1 randwrite.qd32 seqread"
cards="tcp.tx tcp.rx rr"
wanted() {
        case $1 in "$only"*) return 0 ;; esac
        [ "$only" = scale ] && case " $scale " in *" $1 "*) return 0 ;; esac
        return 1
}
any_wanted() { # whether ONLY selects one of the names
        local name
        for name in "$@"; do
                wanted "$name" && return 0
        done
        return 1
}

# figure NAME UNIT VALUE PEER PEER-VALUE; a PEER of - is none, and then so is its value
figure() {
        wanted "$1" || return 0
        # a VMM that never got there has no figure
        [ "${3:--}" != - ] || { echo "bench: $1 was not measured" >&2; return 0; }
        [ -n "${5:-}" ] || { echo "bench: the peer of $1, $4, did not get there" >&2; set -- "$1" "$2" "$3" - -; }
        awk -v name="$1" -v unit="$2" -v value="$3" -v peer="$4" -v other="$5" 'BEGIN {
                if (peer == "-")
                        tail = "\"peer\": null, \"peer_value\": null, \"ratio\": null"
                else {
                        # of a rate more is better, of all else less
                        ratio = unit ~ /\/s$/ ? value / other : other / value
                        tail = sprintf("\"peer\": \"%s\", \"peer_value\": %s, \"ratio\": %.3f", peer, other, ratio)
                }
                printf "{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\", %s}\n", name, value, unit, tail
        }' >>$out/results.jsonl
}

# Lines `figure NAME UNIT VALUE PEER PEER-VALUE` of a measuring script.
take_figures() {
        local word name unit value peer other
        while read -r word name unit value peer other; do
                [ "$word" = figure ] || continue
                figure "$name" "$unit" "$value" "$peer" "$other"
        done
}

# A bus of our own: sets work, build, pids and address, which are the caller's.
start_bus() {
        work=$(mktemp -d)
        build=$(cd "$build" && pwd)
        cat >"$work/bus.conf" <<-CONF
		<busconfig><type>session</type><listen>unix:dir=$work</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
		</busconfig>
	CONF
        mkfifo "$work/address"
        dbus-daemon --config-file="$work/bus.conf" --nofork --print-address=3 3>"$work/address" 2>"$work/bus.log" &
        pids=$!
        read -r address <"$work/address"
}

# Ten VMs, and a daemon that is killed and started again.
bench_adopt() {
        local work pids address daemon number vms=10 i
        start_bus
        daemon=("$build/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --vmm="$build/vivarium-vmm"
                --launcher="$build/vivarium-launch" --log-level=error)
        "${daemon[@]}" 2>"$work/daemon.log" &
        i=$!
        until "$build/vivctl" --address="$address" list >"$work/list" 2>&1; do kill -0 $i || return 0; done
        for _ in $(seq $vms); do
                "$build/vivctl" --address="$address" run --detach --hypervisor soft --kernel o/guest/tiny.elf --mem 64 \
                        --params tiny=h: >>"$work/list" 2>&1
        done
        kill -9 $i
        wait $i 2>/dev/null || :
        number=$("$build/tests/bench/bench_adopt" "$address" $vms 21 "${daemon[@]}" 2>>"$work/daemon.log") ||
                tail -n 3 "$work/daemon.log" >&2
        # the next daemon ends them
        "${daemon[@]}" 2>>"$work/daemon.log" &
        pids="$pids $!"
        until "$build/vivctl" --address="$address" drain >"$work/list" 2>&1; do kill -0 $! || break; done
        # shellcheck disable=SC2086
        kill $pids
        # shellcheck disable=SC2086
        wait $pids 2>/dev/null || :
        rm -rf "$work"
        figure restart.adopt10 ms "$number" - -
}

# The daemon on a bus of its own, beside the smallest server that sd-bus can make.
bench_bus() {
        local work pids address numbers
        start_bus
        "$build/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --vmm="$build/vivarium-vmm" \
                --launcher="$build/vivarium-launch" 2>"$work/daemon.log" &
        pids="$pids $!"
        numbers=$("$build/tests/bench/bench_bus" "$address" 20000) || {
                echo "bench: the bus could not be measured:"
                tail "$work/daemon.log"
        }
        # shellcheck disable=SC2086
        kill $pids
        # shellcheck disable=SC2086
        wait $pids 2>/dev/null || :
        rm -rf "$work"
        # shellcheck disable=SC2086
        set -- $numbers
        [ $# -eq 4 ] || return 0
        figure dbus.ping us "$1" sd-bus-floor "$2"
        figure daemon.rss.idle KiB "$3" sd-bus-floor "$4"
}

# Very many VMs whose VMM is the stand-in of the tests, beside what libvirtd takes for the same where it is installed.
bench_scale() {
        local work pids address word name unit value
        # as /run is, in memory
        TMPDIR=$(test -w /dev/shm && echo /dev/shm || echo "${TMPDIR:-/tmp}") start_bus
        "$build/vivariumd" --bus-address="$address" --runtime-dir="$work/run" --vmm="$build/tests/fake/fake_vmm" \
                --vmm-dialect=vivarium --launcher="$build/vivarium-launch" --max-vms=2000 --log-level=error \
                --metrics-socket="$work/metrics" 2>"$work/daemon.log" &
        pids="$pids $!"
        until "$build/vivctl" --address="$address" list >"$work/list" 2>&1; do kill -0 $! || return 0; done
        "$build/tests/bench/bench_scale" "$address" "$work/metrics" 1000 20 101 >"$work/ours" || tail -n 3 "$work/daemon.log" >&2
        until "$build/vivctl" --address="$address" drain >"$work/list" 2>&1; do kill -0 $! || break; done
        # shellcheck disable=SC2086
        kill $pids
        # shellcheck disable=SC2086
        wait $pids 2>/dev/null || :
        tests/bench/libvirt.sh 1000 20 >"$work/libvirt" || echo "bench: libvirtd was not measured" >&2
        while read -r word name unit; do
                value=$(awk -v w="$word" '$1 == w { print $2 }' "$work/libvirt")
                figure "$name" "$unit" "$(awk -v w="$word" '$1 == w { print $2 }' "$work/ours")" \
                        "$([ -n "$value" ] && echo libvirtd || echo -)" "${value:--}"
        done <<-NAMES
		memory daemon.rss.per_vm KiB
		cpu daemon.cpu.idle1000 %
		list dbus.list1000 ms
		sweep metrics.sweep1000 ms
		death death.latency ms
		cycle cycle.fake.rate 1/s
	NAMES
        rm -rf "$work"
}

# The program that races disks, for a guest to unpack after its initrd.
pack_disk_suite() { # ARCHIVE
        (cd "$build/tests/bench/guest" && mkdir -p initramfs/bin && cp disk_suite initramfs/bin/ && cd initramfs &&
                find . | cpio -o -H newc --quiet) >"$1"
}

# Boots and VMs need a real /dev/kvm, which the testbed's host has; QEMU comes along with its libraries and firmware.
bench_nested() {
        local overlay=$out/overlay bench lib file
        bench=$overlay/usr/lib/vivarium-bench
        rm -rf "$overlay"
        mkdir -p "$bench/lib" "$bench/share" "$overlay/usr/lib/vivarium-testbed"
        cp "$(command -v qemu-system-x86_64)" "$build/tests/bench/bench_run" "$bench/"
        for lib in $(ldd "$bench/qemu-system-x86_64" | grep -o '/[^ ]*'); do
                cp -L "$lib" "$bench/lib/"
        done
        rm -f "$bench"/lib/ld-linux* "$bench"/lib/libc.so* "$bench"/lib/libm.so*
        for file in bios-256k.bin bios-microvm.bin kvmvapic.bin linuxboot_dma.bin; do
                find /usr/share/qemu /usr/share/seabios -name $file -exec cp -L {} "$bench/share/" \; -quit
        done
        cp tests/bench/boots.sh tests/bench/io.sh tests/bench/snapshots.sh "$bench/"
        pack_disk_suite "$bench/disk_suite.cpio"
        cp tests/bench/nested.sh "$overlay/usr/lib/vivarium-testbed/"
        tests/testbed/boot.sh "$build" $out "testbed.script=/usr/lib/vivarium-testbed/nested.sh bench.only=$only \
bench.rounds=${BENCH_ROUNDS:-}" "$overlay"
        take_figures <$out/results
        tail -n 20 $out/logs/script.log >&2
}

# The software CPU needs nothing of the host, so it races QEMU's right here.
bench_soft_boots() {
        local work runner vmm qemu guest n
        work=$(mktemp -d)
        runner=$build/tests/bench/bench_run vmm=$build/vivarium-vmm qemu=qemu-system-x86_64 guest=o/guest
        . tests/bench/boots.sh
        race_boots soft tcg max "${BENCH_ROUNDS:-5}" "$work" >"$work/figures"
        for n in 2 4; do
                for _ in $(seq "${BENCH_ROUNDS:-5}"); do boot_ours soft $n >>"$work/ours$n"; done
                echo "figure boot.soft.rss$n KiB $(cut -d' ' -f2 "$work/ours$n" | median) - -" >>"$work/figures"
        done
        echo "figure boot.soft.rss KiB $(cut -d' ' -f2 "$work/ours" | median) qemu-q35" \
                "$(cut -d' ' -f2 "$work/q35" | median)" >>"$work/figures"
        take_figures <"$work/figures"
        rm -rf "$work"
}

bench_soft_devices() {
        local work runner vmm guest
        work=$(mktemp -d -p /dev/shm) # the file of persistent memory counts as shared then
        runner=$build/tests/bench/bench_run vmm=$build/vivarium-vmm guest=o/guest
        . tests/bench/boots.sh
        figure_devices soft 1 "$work" >"$work/figures" || :
        take_figures <"$work/figures"
        rm -rf "$work"
}

# Disks and cards on the software CPU, against QEMU's.
bench_soft_io() { # FUNCTION PREFIX: what io.sh or snapshots.sh races
        local work
        work=$(mktemp -d)
        (
                vmm=$build/vivarium-vmm qemu=qemu-system-x86_64 guest=o/guest suite=$work/disk_suite.cpio
                pack_disk_suite "$suite"
                runner=$build/tests/bench/bench_run
                . tests/bench/io.sh
                . tests/bench/snapshots.sh
                "$@" soft tcg max "${BENCH_ROUNDS:-3}" "$work" >"$work/figures"
        )
        take_figures <"$work/figures"
        rm -rf "$work"
}
bench_soft_cards() {
        # the script again, in a network namespace of its own
        if ! unshare -n true 2>/dev/null; then
                echo "bench: no network namespace for the network's figures" >&2
                return 0
        fi
        BENCH_CARDS=1 unshare -n "$0" "$build" "$only"
}

# How many instructions one of the three runs of a kernel of the suite takes, as lines `NAME COUNT`: of those that do all
# their work themselves, by the same instructions everywhere.
count_instructions() { # SUITE DIRECTORY
        command -v valgrind >/dev/null || { echo "bench: no valgrind, so the guest's instructions are not counted" >&2; return 0; }
        valgrind --tool=callgrind --callgrind-out-file="$2/callgrind" --toggle-collect='kernel_*' "$1" >"$2/counted" 2>&1
        callgrind_annotate --inclusive=yes "$2/callgrind" | tr -d , |
                sed -nE 's/^ *([0-9]+) .*:kernel_(alu|sort|sha256|fp|x87|calls|indirect) .*/\2 \1/p' |
                awk '{ printf "%s %.0f\n", $1, $2 / 3 }'
}

# The suite as a program of this host, and as the init of a guest on our software CPU and on QEMU's.
bench_cpu() {
        local work suite
        work=$(mktemp -d)
        suite=$build/tests/bench/guest/cpu_suite
        cp "$suite" "$work/init"
        (cd "$work" && echo init | cpio -o -H newc --quiet) >"$work/initrd"
        "$suite" >"$work/native"
        "$build/vivarium-vmm" run --hypervisor soft --mem 256 --initrd "$work/initrd" \
                --params "console=ttyS0 quiet panic=-1 cryptomgr.notests=1" \
                --serial type=stdout,hardware=serial,num=1 o/guest/vmlinuz >"$work/soft"
        qemu-system-x86_64 -accel tcg -cpu max -M q35 -m 256 -nodefaults -display none -serial stdio -no-reboot \
                -kernel o/guest/vmlinuz -initrd "$work/initrd" \
                -append "console=ttyS0 quiet panic=-1 cryptomgr.notests=1" >"$work/tcg"
        # `cpu NAME NANOSECONDS CHECKSUM`: a processor that computes something else has no figure
        for peer in native tcg; do
                awk -v peer=$peer '
                        { sub(/\r$/, "") }
                        $1 != "cpu" || NF != 4 { next }
                        FNR == NR { nsec[$2] = $3; sum[$2] = $4; next }
                        !($2 in nsec) { next }
                        sum[$2] != $4 { print "bench: cpu." $2 ": the results differ" >"/dev/stderr"; next }
                        {
                                printf "figure cpu.soft.%s.%s ms %.3f %s %.3f\n", $2, peer, nsec[$2] / 1e6, peer, $3 / 1e6
                                ours += log(nsec[$2]); theirs += log($3); n++
                        }
                        END {
                                if (n) printf "figure cpu.soft.geomean.%s ms %.3f %s %.3f\n", peer, \
                                        exp(ours / n) / 1e6, peer, exp(theirs / n) / 1e6
                        }' "$work/soft" "$work/$peer"
        done >"$work/figures"
        count_instructions "$suite" "$work" >"$work/counts"
        awk '
                { sub(/\r$/, "") }
                FILENAME == ARGV[1] { count[$1] = $2; next }
                $1 != "cpu" || NF != 4 || !($2 in count) { next }
                FILENAME == ARGV[2] { nsec[$2] = $3; next }
                $2 in nsec {
                        printf "figure cpu.soft.%s.mips M/s %.0f tcg %.0f\n", $2, count[$2] * 1e3 / nsec[$2], count[$2] * 1e3 / $3
                }' "$work/counts" "$work/soft" "$work/tcg" >>"$work/figures"
        take_figures <"$work/figures"
        rm -rf "$work"
}

# What bench_soft_cards() runs.
if [ -n "${BENCH_CARDS:-}" ]; then
        bench_soft_io race_cards net.soft
        exit 0
fi

if any_wanted dbus.ping daemon.rss.idle; then bench_bus; fi
# shellcheck disable=SC2086
if any_wanted $scale; then bench_scale; fi
if any_wanted restart.adopt10; then bench_adopt; fi
if any_wanted boot.soft.q35 boot.soft.microvm boot.soft.rss boot.soft.rss2 boot.soft.rss4; then bench_soft_boots; fi
if any_wanted vmm.devices.rss.soft; then bench_soft_devices; fi
# shellcheck disable=SC2046,SC2086
if any_wanted $(printf 'blk.soft.%s ' $disks); then bench_soft_io race_disks blk.soft; fi
# shellcheck disable=SC2046,SC2086
if any_wanted $(printf 'net.soft.%s ' $cards); then bench_soft_cards; fi
if any_wanted vsock.soft.tx; then bench_soft_io race_sockets vsock.soft; fi
if any_wanted snapshot.soft.save snapshot.soft.restore; then bench_soft_io race_snapshots snapshot.soft; fi
case $only in
"" | c | cp | cpu*) bench_cpu ;;
esac
# shellcheck disable=SC2046,SC2086
if any_wanted boot.kvm.q35 boot.kvm.microvm vmm.overhead.rss vmm.devices.rss.kvm cycle.rate $(printf 'blk.%s ' $disks) \
        $(printf 'net.%s ' $cards) vsock.tx vsock.vhost.tx snapshot.save snapshot.restore; then bench_nested; fi

printf '\n%-22s %12s %-5s %-14s %12s %7s\n' name value unit peer "peer's" ratio
jq -r '[.name, .value, .unit, .peer // "-", .peer_value // "-", .ratio // "-"] | @tsv' $out/results.jsonl |
        while IFS=$(printf '\t') read -r name value unit peer other ratio; do
                printf '%-22s %12s %-5s %-14s %12s %7s\n' "$name" "$value" "$unit" "$peer" "$other" "$ratio"
        done
echo "bench: $(wc -l <$out/results.jsonl) figures in $out/results.jsonl"
