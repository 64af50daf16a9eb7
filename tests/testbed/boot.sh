#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: boot.sh BUILD-DIR OUTDIR [KERNEL-PARAMETERS [OVERLAY-DIR]]
# Boots the testbed's host once: a Debian 12 with systemd and the project installed as `make install` does, under QEMU with
# nested SVM. What the host's script says on its second serial port comes to OUTDIR/results, its logs to OUTDIR/logs/.
# OVERLAY-DIR is laid over the root disk. TESTBED_MEM (4096) MiB are the host's; TESTBED_SERIAL is where QEMU connects the
# second port instead; TESTBED_SILENCE (180) is how many seconds without a heartbeat are the end of it, TESTBED_SECONDS (1900)
# how many the host may take in all; QEMU_SYSTEM is a qemu-system-x86_64 to take instead of the machine's. The exit status is
# QEMU's.
set -eu
cd "$(dirname "$0")/../.."
build=$1 out=$2 params=${3:-} overlay=${4:-}
here=tests/testbed
seconds=${TESTBED_SECONDS:-1900}

# shellcheck source=tests/guest/initramfs.sh
. tests/guest/initramfs.sh
tests/guest/build.sh o/guest
$here/build.sh o/testbed
emulator=${QEMU_SYSTEM:-qemu-system-x86_64}
command -v "$emulator" >/dev/null || { echo "testbed: no $emulator; run: make deps" >&2; exit 1; }

tree=$out/initramfs
payload=$tree/payload
rm -rf "$tree"
mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/root" "$payload/usr/lib/vivarium-testbed/guest"
cp "$(command -v busybox)" "$tree/bin/busybox"
cp $here/host/init "$tree/init"
chmod 755 "$tree/init"
copy_modules o/guest "$tree" virtio_pci virtio_blk virtio-rng kvm-amd autofs4 tun vhost_net vhost_vsock \
        bridge nf_tables nft_chain_nat nft_masq nft_nat nft_fib_ipv4 nft_fib_ipv6
mkdir -p "$payload/usr/lib/modules"
cp -r "$tree/lib/modules" "$payload/usr/lib/"
${MAKE:-make} --no-print-directory MODE="$(basename "$build")" install DESTDIR="$PWD/$payload"
cp $here/host/*.sh $here/system/* "$payload/usr/lib/vivarium-testbed/"
chmod 755 "$payload"/usr/lib/vivarium-testbed/*.sh
cp o/guest/vmlinuz o/guest/initrd.img o/guest/tiny.elf o/guest/hostile.elf o/guest/netpeer o/guest/vsock_peer o/guest/suspender \
        "$payload/usr/lib/vivarium-testbed/guest/"
[ ! -e /usr/share/seabios/bios-256k.bin ] || cp /usr/share/seabios/bios-256k.bin "$payload/usr/lib/vivarium-testbed/guest/"
unit=$payload/usr/lib/vivarium-testbed/unit
mkdir -p "$unit"
# Those of the KVM backend, where they have been built, with their library, of which the host has no package.
for test in test_debugger kvm/test_vcpu; do
        [ ! -e "$build/tests/unit/vmm/hv/$test" ] || cp "$build/tests/unit/vmm/hv/$test" "$unit/"
done
ldd "$unit"/* 2>/dev/null | sed -n 's/.* => \(.*libcmocka[^ ]*\) .*/\1/p' | sort -u | xargs -I{} cp -L {} "$unit/"
[ ! -e o/guest/vmlinux ] || cp o/guest/vmlinux "$payload/usr/lib/vivarium-testbed/guest/"
[ -z "$overlay" ] || cp -r "$overlay/." "$payload/"
units=$payload/usr/lib/systemd/system
mkdir -p "$units/multi-user.target.wants"
# It ends before the host is ended, so that there are logs.
sed "s/^TimeoutStartSec=.*/TimeoutStartSec=$((seconds - 100))/" $here/host/vivarium-testbed.service >"$units/vivarium-testbed.service"
ln -s ../vivarium-testbed.service "$units/multi-user.target.wants/"
pack "$tree" $out/initrd.cpio

# Now and then the interrupt that should end a guest's turn is lost, and the host's kernel never gets its processor back, or
# returns to it with a segment base of 0. It panics then, after a minute at most; or both processors are lost, and with them the
# heartbeat on the third serial port. Why is not known. QEMU 7.2 changes the word of a processor's pending interrupts in VMRUN
# without the lock under which its other threads set bits there (target/i386/tcg/sysemu/svm_helper.c), but in a QEMU that
# counted it, in 198,000 VMRUNs, 20,000 of which set a bit, no other thread was in between, nor did a kernel go down. The host is
# started anew then, up to six times, for the scripts that have not ended yet, and for those that failed: they may have waited
# for a processor that was gone. Stock guests went down in the same hours, by a triple fault or by waiting for ever. So what
# failed on a host that stayed is run on a second one; what fails there has failed.
watch_heart() { # PROCESS
        while kill -0 "$1" 2>/dev/null; do
                if [ $(($(date +%s) - $(stat -c %Y $out/heartbeat))) -gt "${TESTBED_SILENCE:-180}" ]; then
                        echo "no heartbeat" >>$out/logs/console.log
                        kill "$1"
                        return
                fi
                sleep 5
        done
}

# no_timer_check: where QEMU has to wait for a processor, the timer is late for the kernel's look at whether it works.
boot_once() {
        rm -rf $out/logs
        mkdir -p $out/logs
        : >$out/results
        : >$out/heartbeat
        truncate -s 256M $out/logs.disk.new
        mv $out/logs.disk.new $out/logs.disk

        echo "testbed: booting the host"
        status=0
        timeout -k 10 $seconds "$emulator" -accel tcg,thread=multi -cpu max,+svm -smp 2 -m "${TESTBED_MEM:-4096}" \
                -nodefaults -display none -monitor none -no-reboot -serial file:$out/logs/console.log \
                -serial "${TESTBED_SERIAL:-file:$out/results}" -serial file:$out/heartbeat \
                -kernel "$([ -e o/guest/vmlinux ] && echo o/guest/vmlinux || echo o/guest/vmlinuz)" \
                -initrd $out/initrd.cpio \
                -append "console=ttyS0 quiet panic=-1 root=/dev/vda rw cryptomgr.notests=1 nokaslr no_timer_check \
watchdog_thresh=30 softlockup_panic=1 systemd.show_status=false $params testbed.skip=$ended" \
                -drive if=none,id=root,file=o/testbed/base.ext4,format=raw,snapshot=on \
                -device virtio-blk-pci,drive=root \
                -drive if=none,id=logs,file=$out/logs.disk,format=raw,cache=unsafe \
                -device virtio-blk-pci,drive=logs -device virtio-rng-pci </dev/null &
        qemu=$!
        watch_heart $qemu &
        wait $qemu || status=$?
        wait
        tar -x -C $out/logs -f $out/logs.disk 2>/dev/null || :
}

# What the scripts said that ended well before the host did: the last one of the file may be cut short. Its logs stay, too.
keep_results() {
        tac $out/results | sed '1,/^# [^ ]* ([0-9]* s)$/d' | tac | awk '
                /^# [^ ]* \([0-9]* s\)$/ { if (!bad) printf "%s", said; said = ""; bad = 0 }
                /^not ok / { bad = 1 }
                { said = said $0 "\n" }
                END { if (!bad) printf "%s", said }' >>$out/results.before
        ended=$(sed -n 's/^# \([^ ]*\) ([0-9]* s)$/\1/p' $out/results.before | paste -sd,)
        rm -rf $out/logs.down
        mv $out/logs $out/logs.down
}

# The tests end with their plan, unless the host went before, by a panic or, as by a triple fault, without a word. Of other
# scripts nobody here knows how they end.
went_down() {
        [ $status -ne 124 ] || return 1
        case $params in
        *testbed.script=*) grep -qE 'soft lockup|Kernel panic|no heartbeat' $out/logs/console.log ;;
        *) ! grep -q '^1\.\.' $out/results ;;
        esac
}

failed_scripts() {
        awk '/^# [^ ]* \([0-9]* s\)$/ { name = $2 } /^not ok / && name { print name; name = "" }' $out/results | paste -sd' '
}

ended=
: >$out/results.before
boot_once
second=
for _ in 1 2 3 4 5 6; do
        if went_down; then
                echo "testbed: the emulated processors brought down the host's kernel; once more"
        elif [ -z "$second" ] && grep -q '^not ok' $out/results; then
                # A guest may have been what they brought down, which looks like a fault of ours.
                second=1
                echo "testbed: once more, on another host: $(failed_scripts)"
        else
                break
        fi
        keep_results
        boot_once
done
before=$(grep -acE '^(not )?ok ' $out/results.before || :)
# one file, and one plan for it
sed "s/^1\.\.\([0-9]*\)\$/echo 1..\$((\1 + $before))/e" $out/results >>$out/results.before
mv $out/results.before $out/results

exit $status
