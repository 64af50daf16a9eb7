#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: firmware.sh BUILD-DIR OUTDIR [soft|kvm]
# An installed Debian (installed.sh) under Debian's SeaBIOS and OVMF: GRUB, systemd, a login on the serial port, power-off and
# restart, what the disk and the firmware's variables keep. A line `ok SENTENCE` or `not ok SENTENCE` each; consoles stay in
# OUTDIR/logs/. OUTDIR/installed.img itself is not written.
set -u
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
vmm=$1/vivarium-vmm out=$2 hypervisor=${3:-soft}
seabios=/usr/share/seabios/bios-256k.bin ovmf=/usr/share/OVMF/OVMF_CODE_4M.fd variables=/usr/share/OVMF/OVMF_VARS_4M.fd
disk=$out/firmware.img vars=$out/firmware.vars root=$((69632 * 512)) # where installed.sh puts it
failed=0
mkdir -p "$out/logs"
trap 'rm -f "$disk" "$vars"' EXIT

check() { # SENTENCE COMMAND...
        local sentence=$1
        shift
        if "$@"; then
                echo "ok $sentence"
        else
                echo "not ok $sentence"
                failed=$((failed + 1))
                tail -n 15 "$console" "$said" "$log"
        fi
}

# Runs the disk to the machine's end; what happens on the serial port is in $console, what the steps say in $said.
run() { # NAME STEPS OPTIONS...
        local name=$1 steps=$2
        shift 2
        console=$out/logs/firmware-$name said=$out/logs/firmware-$name.said log=$out/logs/firmware-$name.log
        : >"$console"
        : >"$said"
        timeout -k 10 900 "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 512 --cpus 2 --block "$disk" \
                ${steps:+--oem-strings "io.systemd.credential:vivarium.steps=$steps"} \
                --serial type=stdout,stdin=true,hardware=serial,num=1,console=true \
                --serial "type=file,path=$said,hardware=serial,num=2" "$@" >"$console" 2>"$log"
        status=$?
}

await() { # PATTERN: on the console, within some minutes
        local tries=0
        until grep -aq -- "$1" "$console"; do
                [ $((tries += 1)) -lt 1200 ] || return 1
                sleep 0.5
        done
}

# The person at the terminal. The console is empty by the time run() reads the first line.
person() { # LAST COMMAND
        console=$out/logs/firmware-login
        : >"$console"
        await 'installed login: ' && echo root
        await 'Password: ' && echo vivarium
        await 'root@installed:' && echo "$1"
        await 'reboot: ' # the terminal stays open until then
}

ended() { [ "$status" -eq "$1" ]; }
both() { grep -aq -- "$1" "$2" && grep -aq -- "$3" "$4"; }

# Two boots of this disk under this firmware were journalled, besides the installation's.
journalled() { # BOOTS
        local files=$out/firmware.journal boots
        rm -rf "$files"
        mkdir -p "$files"
        debugfs -R "rdump /var/log/journal $files" "$disk?offset=$root" 2>>"$log"
        boots=$(journalctl --directory="$files/journal" --list-boots --no-pager 2>>"$log" | grep -c ' UTC')
        rm -rf "$files"
        [ "$boots" -eq "$1" ]
}

cp --sparse=always "$out/installed.img" "$disk"
run login '' --bios $seabios < <(person 'findmnt -no SOURCE /; systemctl is-system-running; systemctl poweroff')
check "SeaBIOS starts GRUB, and GRUB the installed kernel" both 'GRUB loading' "$console" 'Linux version 6' "$console"
check "somebody logs in on the serial port" both '/dev/vda3.$' "$console" '^running' "$console"
check "and powers the machine off" ended 0
run bios 'systemctl reboot' --bios $seabios </dev/null
check "a restart under SeaBIOS ends the VMM with status 32" ended 32
check "the disk's journal has three boots" journalled 3

cp --sparse=always "$out/installed.img" "$disk"
cp $variables "$vars"
run uefi 'efibootmgr -v; grub-install --target=x86_64-efi && efibootmgr -v; systemctl reboot' --bios $ovmf --pflash "$vars" </dev/null
check "OVMF starts the removable media's loader" both 'BdsDxe: starting Boot0001' "$console" 'EFI v2' "$console"
check "the guest makes a boot entry of its own" grep -aq '^Boot[0-9A-F]*\* debian.*grubx64.efi' "$said"
check "a restart under OVMF ends the VMM with status 32" ended 32
run uefi-again 'efibootmgr -v; systemctl poweroff' --bios $ovmf --pflash "$vars" </dev/null
entry=$(sed -n 's/^BootCurrent: \([0-9A-F]*\).*/\1/p' "$said")
check "which OVMF starts at the next run" grep -aq "^Boot${entry:-none}\\* debian" "$said"
check "powering off under OVMF ends it with status 0" ended 0
check "the disk's journal has three boots here, too" journalled 3
check "its file system is consistent" e2fsck -fn "$disk?offset=$root"

# The same kernel and initrd, from fw_cfg; the disk has only the root.
debugfs -R "rdump /boot $out" "$disk?offset=$root" 2>>"$log"
for firmware in $seabios $ovmf; do
        run "served-$(basename $firmware)" 'systemctl poweroff' --bios $firmware --initrd "$(echo "$out"/boot/initrd.img-*)" \
                --params "root=LABEL=root ro console=ttyS0 panic=-1 served=1" "$(echo "$out"/boot/vmlinuz-*)" </dev/null
        check "$(basename $firmware) starts the kernel that fw_cfg serves with this root" both 'served=1' "$console" 'installed login' "$console"
        check "and it ends" ended 0
done
rm -rf "${out:?}/boot"
[ $failed -eq 0 ]
