#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh BUILD-DIR [ONLY]
# The long tests (docs/TESTING.md): stock kernels and a Debian with systemd on the software processor, for hours, and devices
# under load on both. A line `ok NAME` or `not ok NAME` each; consoles are in o/soak/logs/. ONLY is a part of the names of the
# tests to run. SOAK_BOOTS (100) boots on each number of processors, SOAK_STRESS (100) seconds for each stressor, SOAK_CASES
# (100 million) random instructions, SOAK_CYCLES (5000) lives of VMs; tests/soak/devices/parts.sh has those of devices.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1 only=${2:-}
out=o/soak logs=o/soak/logs
boots=${SOAK_BOOTS:-100} stress=${SOAK_STRESS:-100} cases=${SOAK_CASES:-100000000}
passed=0 failed=0 skipped=0
mkdir -p $logs

wanted() { [[ $1 == *"$only"* ]]; }

verdict() { # STATUS NAME
        if [ "$1" -eq 0 ]; then
                echo "ok $2"
                passed=$((passed + 1))
        else
                echo "not ok $2"
                failed=$((failed + 1))
        fi
}

# Lines that the guest itself judged count by themselves.
count_lines() { # LOG
        grep -aE '^(ok|not ok|skip) ' "$1" | tr -d '\r'
        passed=$((passed + $(grep -acE '^ok ' "$1")))
        failed=$((failed + $(grep -acE '^not ok ' "$1")))
        skipped=$((skipped + $(grep -acE '^skip ' "$1")))
}

vmm() { # SECONDS LOG KERNEL INITRD CPUS MIB PARAMS MORE...
        local seconds=$1 log=$2 kernel=$3 initrd=$4 cpus=$5 mib=$6 params=$7
        shift 7
        timeout -k 10 "$seconds" "$build/vivarium-vmm" --extended-status run --hypervisor soft --mem "$mib" \
                --cpus "$cpus" --initrd "$initrd" --params "console=ttyS0 quiet panic=-1 $params" \
                --serial type=stdout,hardware=serial,num=1,console=true "$@" "$kernel" >"$log" 2>&1 </dev/null
}

# One hang, crash or missing word in so many boots fails the whole.
many_boots() { # NAME COUNT KERNEL INITRD CPUS
        local i status
        wanted "$1" || return 0
        for i in $(seq "$2"); do
                vmm 300 "$logs/$1" "$3" "$4" "$5" 256 soak=boot
                status=$?
                if [ $status -ne 0 ] || ! grep -aq "soak: init reached.*, $5 processors" "$logs/$1"; then
                        cp "$logs/$1" "$logs/$1.failed"
                        verdict 1 "$1: boot $i of $2 ended with status $status, see $logs/$1.failed"
                        return 0
                fi
        done
        verdict 0 "$1: $2 boots with $5 processors in a row"
}

# STEPS run one after another in a Debian that starts from the same disk each time.
debian() { # NAME CPUS MIB SECONDS STEPS
        local log=$logs/$1 disk=$out/$1.ext4 status=0
        wanted "$1" || return 0
        cp --sparse=always $out/root.ext4 "$disk"
        vmm "$4" "$log" o/guest/vmlinuz $out/initrd.img "$2" "$3" "rw systemd.show_status=false soak=$5" --block "$disk"
        status=$?
        rm -f "$disk"
        count_lines "$log"
        grep -aq '^soak: done' "$log" && ! grep -aqE '^soak: (kernel says|failed unit)' "$log" || status=1
        verdict $status "$1: systemd on $2 processors to multi-user, ${5//,/, }, and power-off"
        [ $status -eq 0 ] || grep -aE '^(\||soak:)|Kernel panic' "$log" | tail -n 40 | sed 's/^/    /'
}

differential() { # PARTS
        local part status=0
        wanted differential || return 0
        : >$logs/differential
        for part in $(seq "$1"); do
                VIVARIUM_DIFFERENTIAL_SEED=$((SOAK_SEED + part)) VIVARIUM_DIFFERENTIAL_CASES=$((cases / $1)) \
                        "$build/tests/unit/vmm/hv/soft/test_differential" >>$logs/differential 2>&1 || status=1
        done
        verdict $status "differential: $cases random instructions do what the host does (seeds from $SOAK_SEED)"
}
SOAK_SEED=${SOAK_SEED:-1}

lengths() {
        wanted lengths || return 0
        VIVARIUM_LENGTH_SEED=$SOAK_SEED VIVARIUM_LENGTH_CASES=$((cases / 2)) \
                "$build/tests/unit/vmm/hv/soft/test_lengths" >$logs/lengths 2>&1
        verdict $? "lengths: $((cases / 2)) random instructions are as long as on the host (seed $SOAK_SEED)"
}

# What went through devices, and how fast
figures() { # LOG
        grep -aoE '(netpeer|vsock_peer:) [a-z]+ [0-9]+ (ok )?in .*|load: .* rounds .*|suspender: .*|[0-9]+ bytes .* copied.*|\{"count".*|.*[0-9] blocks.*' "$1" |
                tr -d '\r' | sed 's/^/#   /'
}

devices_here() { # HYPERVISOR PARTS...
        local hypervisor=$1 part name
        shift
        for part in "$@"; do
                name=devices-$hypervisor-$part
                wanted "$name" || continue
                echo "# $name"
                tests/soak/devices/here.sh "$part" "$hypervisor" "$build/vivarium-vmm" o/guest >"$logs/$name" 2>"$logs/$name.log"
                count_lines "$logs/$name"
                figures "$logs/$name.log"
        done
}

# In the testbed's host, whose KVM is real; with the machine's own, devices_here() does.
devices_in_testbed() { # PARTS...
        local overlay=$out/devices/overlay lib=usr/lib/vivarium-testbed part setting n=0
        rm -rf "$overlay"
        mkdir -p "$overlay/$lib"
        for part in "$@"; do
                wanted "devices-kvm-$part" || continue
                cp tests/soak/devices/testbed.sh "$overlay/$lib/test_50_soak_$part.sh"
                n=$((n + 1))
        done
        [ $n -gt 0 ] || return 0
        cp tests/soak/devices/parts.sh "$overlay/$lib/"
        for setting in "${!SOAK_@}"; do echo "$setting=${!setting}"; done >"$overlay/$lib/soak.env"
        TESTBED_MEM=${TESTBED_MEM:-6144} TESTBED_SECONDS=14400 tests/testbed/boot.sh "$build" $out/devices \
                "testbed.only=50_soak_ testbed.jobs=1 testbed.seconds=3600" "$overlay" >"$logs/devices-kvm.boot" 2>&1
        cp $out/devices/results "$logs/devices-kvm"
        count_lines "$logs/devices-kvm"
        for part in "$@"; do
                [ ! -e "$out/devices/logs/50_soak_$part.log" ] || figures "$out/devices/logs/50_soak_$part.log"
                wanted "devices-kvm-$part" && ! grep -q "^# 50_soak_$part " "$logs/devices-kvm" &&
                        verdict 1 "devices-kvm-$part ran to its end"
        done
}

devices() {
        local parts=(tcp packed user folder disk sockets balloon reporting suspend swap all)
        devices_here soft "${parts[@]}"
        wanted devices-kvm- || [[ $only == devices-kvm-* ]] || return 0
        if timeout 60 "$build/vivarium-vmm" --extended-status run --hypervisor kvm --initrd o/guest/initrd.img \
                --params "quiet panic=-1 vivarium.test=poweroff" o/guest/vmlinuz >$logs/devices-kvm.probe 2>&1; then
                devices_here kvm "${parts[@]}" vhost vhost_sockets
        else
                devices_in_testbed "${parts[@]}" vhost vhost_sockets
        fi
}

cycles() {
        local count=${SOAK_CYCLES:-5000}
        wanted cycles || return 0
        tests/soak/cycles.sh "$build" o/guest "$count" >$logs/cycles 2>&1
        count_lines $logs/cycles
        grep -a '^# ' $logs/cycles
}

pressure() {
        wanted pressure || return 0
        tests/soak/pressure.sh "$build" o/guest >$logs/pressure 2>&1
        count_lines $logs/pressure
        grep -a '^# ' $logs/pressure
}

# A disk of its own, made without the rest.
firmware() {
        local status=0
        wanted firmware || return 0
        tests/soak/installed.sh "$build" $out || exit 1
        tests/soak/firmware.sh "$build" $out >$logs/firmware 2>&1 || status=1
        count_lines $logs/firmware
        [ $status -eq 0 ] || tail -n 60 $logs/firmware | sed 's/^/    /'
}

# In a host of its own, which has an IOMMU.
vfio() {
        wanted vfio || return 0
        tests/soak/vfio/run.sh "$build" o/guest $out/vfio >$logs/vfio
        count_lines $logs/vfio
}

finish() {
        echo "soak: $passed passed, $failed failed, $skipped skipped"
        exit $((failed > 0))
}

tests/guest/build.sh o/guest || exit 1
devices
cycles
pressure
firmware
vfio
case $only in devices* | cycles | pressure | firmware | vfio) finish ;; esac
tests/soak/build.sh $out || exit 1
for cpus in 1 2 4; do
        many_boots "boots-$cpus" "$boots" o/guest/vmlinuz $out/initrd.img $cpus
done
for cpus in 1 4; do
        many_boots "generic-$cpus" $(((boots + 9) / 10)) $out/generic/vmlinuz $out/generic/initrd.img $cpus
done
debian tools 4 1536 3600 gcc,hash,openssl
debian selftests 2 1024 3600 selftests
debian python 4 1536 7200 python
debian perl 4 1536 14400 perl
debian stress 4 1536 $((1200 + 12 * stress)) "stress:$stress"
differential 10
lengths
finish
