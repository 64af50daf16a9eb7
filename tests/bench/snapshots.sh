#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sourced by what races snapshots, behind io.sh: ours and QEMU's q35 write the same guest, with its 256 MiB, one vCPU and a
# disk, to a file while it works, and start it from there in turns. The caller sets also: runner (bench_run).
# shellcheck disable=SC2154 # that, and what io.sh names
snapshot_params="$io_params vivarium.test=count:vda"

snapshot_ours() { # HYPERVISOR DIRECTORY OPTIONS...: the command of ours
        echo "$vmm" --log-level error run --hypervisor "$1" --mem 256 --cpus 1 --initrd "$guest/initrd.img" --block "$2/disk.img" \
                --serial type=stdout,hardware=serial,num=1,console=true "${@:3}"
}

snapshot_qemu() { # ACCELERATOR CPU DIRECTORY OPTIONS...: that of QEMU
        echo "$qemu" -accel "$1" -cpu "$2" -M q35,memory-backend=ram -object memory-backend-memfd,id=ram,size=256M,share=on \
                -m 256 -smp 1 -nodefaults -display none -no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initrd.img" \
                -device virtio-blk-pci,drive=d -drive "file=$3/disk.img,format=raw,if=none,id=d" "${@:4}"
}

# Until the console FILE of PROCESS has more than a few counts
await_counts() { # FILE PROCESS
        timeout 120 tail -n +1 -f --pid="$2" "$1" | grep -q -m 1 '^count 5'
}

milliseconds() { # SINCE, as EPOCHREALTIME was
        echo $(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 100)) | sed 's/\(.\)$/.\1/; s/^\./0./'
}

# Lines `save MSEC` and `restore MSEC`
snapshot_of_ours() { # HYPERVISOR DIRECTORY
        local pid start
        rm -f "$2/ours.snapshot" "$2/control"
        : >"$2/ours.console"
        # shellcheck disable=SC2046 # words
        $(snapshot_ours "$1" "$2" --socket "$2/control") -p "$snapshot_params" "$guest/vmlinuz" >>"$2/ours.console" 2>>"$2/log" \
                </dev/null &
        pid=$!
        if await_counts "$2/ours.console" $pid; then
                start=$EPOCHREALTIME
                "$vmm" snapshot take "$2/ours.snapshot" "$2/control" >>"$2/log" 2>&1 && echo "save $(milliseconds "$start")"
        fi
        kill $pid
        wait $pid
        # shellcheck disable=SC2046 # words
        "$runner" 60 'count ' $(snapshot_ours "$1" "$2" --restore "$2/ours.snapshot") -p "$snapshot_params" "$guest/vmlinuz" |
                sed 's/^\([^ ]*\).*/restore \1/'
}

# By the monitor, without the limit that is meant for networks; the guest goes on meanwhile, as its live migration has it.
snapshot_of_qemu() { # ACCELERATOR CPU DIRECTORY
        local start line
        rm -f "$3/qemu.snapshot"
        : >"$3/qemu.console"
        # shellcheck disable=SC2046 # words
        coproc MONITOR { $(snapshot_qemu "$1" "$2" "$3" -qmp stdio -chardev "file,id=s,path=$3/qemu.console,append=on" \
                -serial chardev:s) -append "$snapshot_params" 2>>"$3/log"; }
        # shellcheck disable=SC2153 # which coproc sets
        if await_counts "$3/qemu.console" "$MONITOR_PID"; then
                cat >&"${MONITOR[1]}" <<-'QMP'
			{"execute": "qmp_capabilities"}
			{"execute": "migrate-set-capabilities", "arguments": {"capabilities": [{"capability": "events", "state": true}]}}
			{"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 1099511627776}}
		QMP
                start=$EPOCHREALTIME
                echo "{\"execute\": \"migrate\", \"arguments\": {\"uri\": \"exec:cat >$3/qemu.snapshot\"}}" >&"${MONITOR[1]}"
                while read -r -t 60 line <&"${MONITOR[0]}"; do
                        case $line in
                        *'"status": "completed"'*) echo "save $(milliseconds "$start")" && break ;;
                        *'"error"'* | *'"status": "failed"'*) echo "$line" >>"$3/log" && break ;;
                        esac
                done
                echo '{"execute": "quit"}' >&"${MONITOR[1]}"
        fi
        wait "$MONITOR_PID"
        # shellcheck disable=SC2046 # words
        "$runner" 60 'count ' $(snapshot_qemu "$1" "$2" "$3" -serial stdio) -append "$snapshot_params" \
                -incoming "exec:cat $3/qemu.snapshot" | sed 's/^\([^ ]*\).*/restore \1/'
}

race_snapshots() { # PREFIX HYPERVISOR ACCELERATOR CPU ROUNDS DIRECTORY
        truncate -s 1M "$6/disk.img"
        for _ in $(seq "$5"); do
                snapshot_of_ours "$2" "$6" >>"$6/ours.snapshots"
                snapshot_of_qemu "$3" "$4" "$6" >>"$6/qemu.snapshots"
        done
        cat "$6/log" >&2
        io_figures "$1" "qemu-$3" "$6/ours.snapshots" "$6/qemu.snapshots"
}
