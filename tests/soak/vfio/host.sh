#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# Init of the host of run.sh.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
cd /tmp || exit 1
modprobe kvm-amd
devices=/sys/bus/pci/devices nvme=0000:00:05.0 card=0000:00:06.0 rng=0000:00:07.0 functions=

verdict() { # STATUS NAME
        if [ "$1" -eq 0 ]; then echo "ok vfio: $2"; else echo "not ok vfio: $2"; fi
}
check() { # NAME COMMAND...
        name=$1
        shift
        "$@"
        verdict $? "$name"
}
bind() { # ADDRESS DRIVER
        echo "$2" >$devices/"$1"/driver_override
        [ ! -e $devices/"$1"/driver ] || echo "$1" >$devices/"$1"/driver/unbind
        echo "$1" >/sys/bus/pci/drivers_probe
}
vmm() { # CONSOLE STEPS PARAMS ARGUMENTS...
        console=$1 steps=$2 params=$3
        shift 3
        # shellcheck disable=SC2086 # options
        vivarium-vmm --extended-status run --hypervisor kvm --mem 256 --cpus 2 --initrd /guest/initrd.img \
                --serial type=file,path="$console",hardware=serial,num=1,console=true \
                --params "quiet panic=-1 $params vivarium.test=$steps" $functions "$@" /guest/vmlinuz 2>"$console.log"
}
refuses() { # TEXT
        vmm refused poweroff ""
        [ $? -eq 1 ] && grep -q -e "$1" refused.log
}
sum() { # MIB
        dd if=/dev/nvme0n1 bs=1M skip="$1" count=16 2>/dev/null | md5sum
}
said() { # CONSOLE WORD: what guest.sh said of it
        sed -n "s/^$2: //p" "$1" | tr -d '\r' | tail -n 1
}
same() { [ -n "$1" ] && [ "$1" = "$2" ]; }
seen() { # CONSOLE NAME
        grep -q "^step run: ok" "$1"
        verdict $? "$2: the guest's steps return"
        check "$2: the guest reads what the host wrote" same "$(said "$1" read)" "$before"
        check "$2: it reads what it wrote" same "$(said "$1" again)" "$(said "$1" written)"
        check "$2: and again after a reset of the function" same "$(said "$1" reset)" "$before"
        check "$2: TCP through the card brings what was sent" same "$(said "$1" tcp)" "$(cat /sent.md5)"
        check "$2: the entropy device has some" same "$(said "$1" entropy)" 256
}

before=$(sum 0)
functions="--vfio $devices/$nvme"
check "a function that the host's driver has is refused, with what to do" refuses "driverctl set-override $nvme vfio-pci"
modprobe vfio-pci
modprobe vfio_iommu_type1
for function in $nvme $card $rng; do bind "$function" vfio-pci; done

functions="--vfio $devices/$nvme --vfio $devices/$card,guest-address=00:12.0 --vfio $devices/$rng --no-rng --no-balloon"
vmm messages run:/bin/vfio.sh,poweroff ""
check "messages: the guest's power-off ends the VMM" [ $? -eq 0 ]
seen messages messages
check "messages: they came by MSI-X" grep -q 'PCI-MSI.*nvme0q1' messages
vmm wire run:/bin/vfio.sh,poweroff pci=nomsi
check "wire: the guest's power-off ends the VMM" [ $? -eq 0 ]
seen wire wire
check "wire: they came by the wire" grep -q 'IO-APIC.*nvme0q0' wire

# A machine that is suspended and goes on, over and over, while its guest reads.
ticks() { grep -c '^tick: ' busy; }
more_ticks() { # THAN
        for _ in $(seq 600); do
                [ "$(ticks)" -gt "$1" ] && return 0
                sleep 0.1
        done
        return 1
}
suspensions() {
        for _ in $(seq 10); do
                vivarium-vmm suspend --full socket && vivarium-vmm resume --full socket && more_ticks "$(ticks)" || return 1
        done
}
vmm busy run:/bin/vfio.sh+ticks "" --socket socket &
vmm_pid=$!
check "busy: the guest reads" more_ticks 2
check "busy: ten suspensions" suspensions
check "busy: what it reads is the same each time" same "$(grep '^tick: ' busy | sort -u | wc -l)" 1
vivarium-vmm snapshot take saved socket >answer 2>&1
check "busy: a snapshot is refused, by the option's name" grep -q -e --vfio answer
vivarium-vmm stop socket
wait $vmm_pid
bind $nvme ""
for _ in $(seq 100); do [ -e /dev/nvme0n1 ] || sleep 0.1; done
check "the host has the device again, with what the guest wrote" same "$(sum 16)" "$(said wire written)"
check "the host's IOMMU had nothing to say" [ "$(dmesg | grep -c 'DMAR:.*fault')" -eq 0 ]
for log in messages wire busy refused; do
        echo "== $log"
        cat $log $log.log
done
echo "vfio: done"
poweroff -f
