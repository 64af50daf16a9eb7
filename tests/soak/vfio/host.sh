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
devices=/sys/bus/pci/devices nvme=0000:00:05.0 card=0000:00:06.0 rng=0000:00:07.0 functions='' hypervisor=kvm

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
        vivarium-vmm --extended-status run --hypervisor $hypervisor --mem 256 --cpus 2 --initrd /guest/initrd.img \
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
both_kinds() { # PREFIX: of the names
        vmm "$1messages" run:/bin/vfio.sh,poweroff ""
        check "$1messages: the guest's power-off ends the VMM" [ $? -eq 0 ]
        seen "$1messages" "$1messages"
        check "$1messages: they came by MSI-X" grep -q 'PCI-MSI.*nvme0q1' "$1messages"
        vmm "$1wire" run:/bin/vfio.sh,poweroff pci=nomsi
        check "$1wire: the guest's power-off ends the VMM" [ $? -eq 0 ]
        seen "$1wire" "$1wire"
        check "$1wire: they came by the wire" grep -q 'IO-APIC.*nvme0q0' "$1wire"
}
wanted() { case " $(cat /parts) " in *" $1 "*) true ;; *) false ;; esac }
if wanted kvm; then both_kinds ""; fi
if wanted soft; then
        hypervisor=soft
        both_kinds soft-
fi

# Waits for the N-th line that begins with WORD.
wait_line() { # CONSOLE WORD N
        for _ in $(seq 6000); do
                [ "$(grep -c "^$2: " "$1")" -ge "$3" ] && return 0
                sleep 0.1
        done
        return 1
}
plug_twice() { # CONSOLE
        for n in 1 2; do
                check "$1: the disk is plugged in, $n" vivarium-vmm vfio add $devices/$nvme socket
                check "$1: and not a second time, $n" refuses_to "is in the machine already" vfio add $devices/$nvme socket
                check "$1: the guest has it, $n" wait_line "$1" plugged $n
                if free_again; then verdict 1 "$1: nobody else can have it, $n"; else verdict 0 "$1: nobody else can have it, $n"; fi
                check "$1: with its bytes, $n" same "$(said "$1" plugged)" "$before"
                check "$1: the guest lets go of it, $n" vivarium-vmm vfio remove $devices/$nvme socket
                check "$1: and says so, $n" wait_line "$1" unplugged $n
                check "$1: the host's other users may have it, $n" free_again
        done
        check "$1: what is not there is not removed" refuses_to "was not plugged in" vfio remove $devices/$nvme socket
}
refuses_to() { # TEXT ARGUMENTS...
        text=$1
        shift
        ! vivarium-vmm "$@" 2>answer && grep -q -e "$text" answer
}
# The group is open to others, by whom it was not while the VM had it.
free_again() { (exec 3<>/dev/vfio/"$(basename "$(readlink $devices/$nvme/iommu_group)")") 2>/dev/null; }
for file in file file-ro; do dd if=/dev/zero of=$file bs=1M count=4 2>/dev/null; done
hotplug() { # CONSOLE
        # Files that are guest memory as well, which the host's IOMMU must take.
        functions="--vfio-hotplug --pmem file --pmem file-ro,ro=true"
        vmm "$1" run:/bin/vfio.sh+plug,poweroff "" --socket socket &
        vmm_pid=$!
        until [ -S socket ] && grep -q . "$1"; do sleep 0.1; done
        plug_twice "$1"
        wait $vmm_pid
        check "$1: the guest's power-off ends the VMM" [ $? -eq 0 ]
        check "$1: the guest's steps return" grep -q "^step run: ok" "$1"
}
for kind in kvm soft; do
        if wanted hotplug-$kind; then
                hypervisor=$kind
                hotplug hotplug-$kind
        fi
done
hypervisor=kvm
functions="--vfio $devices/$nvme --vfio $devices/$card,guest-address=00:12.0 --vfio $devices/$rng --no-rng --no-balloon"

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
busy() {
        vmm busy run:/bin/vfio.sh+ticks "" --socket socket &
        vmm_pid=$!
        check "busy: the guest reads" more_ticks 2
        check "busy: ten suspensions" suspensions
        check "busy: what it reads is the same each time" same "$(grep '^tick: ' busy | sort -u | wc -l)" 1
        vivarium-vmm snapshot take saved socket >answer 2>&1
        check "busy: a snapshot is refused, by the option's name" grep -q -e --vfio answer
        vivarium-vmm stop socket
        wait $vmm_pid
}
if wanted busy; then busy; fi
bind $nvme ""
for _ in $(seq 100); do [ -e /dev/nvme0n1 ] || sleep 0.1; done
check "the host has the device again" same "$(sum 0)" "$before"
if wanted kvm; then check "the host finds what the guest wrote" same "$(sum 16)" "$(said wire written)"; fi
check "the host's IOMMU had nothing to say" [ "$(dmesg | grep -c 'DMAR:.*fault')" -eq 0 ]
for log in *.log; do
        echo "== $log"
        cat "${log%.log}" "$log"
done
echo "vfio: done"
poweroff -f
