#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Functions of the host that the real service gives to VMs: the administrator's list held against a sysfs made here, who has
# what over restarts of the service, and what its VMM is told. The VMM is a recorder: devices themselves are the matter of
# tests/soak/vfio.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { cat line answer log >&2; }

start_bus
cat >recorder <<END
#!/bin/sh
[ "\$1" != probe ] || exec printf 'kvm yes it is recorded\nsoft yes so is that\n'
printf '%s ' "\$@" >$work/line
grep 'locked memory' /proc/self/limits >$work/limits
exec sleep 1000
END
chmod 755 recorder
vmm=$work/recorder
echo kernel >kernel
: >line

devices=$work/sys/devices/pci0000:00
pci() { # ADDRESS [DRIVER]
        mkdir -p "$devices/$1" "$work/sys/bus/pci/devices" "$work/sys/bus/pci/drivers/${2:-none}"
        ln -s ../../../bus/pci "$devices/$1/subsystem"
        [ -z "${2:-}" ] || ln -s "../../../bus/pci/drivers/$2" "$devices/$1/driver"
        ln -s "../../../devices/pci0000:00/$1" "$work/sys/bus/pci/devices/$1"
}
pci 0000:00:04.0 nvme
pci 0000:00:05.0 vfio-pci
pci 0000:00:06.0
mkdir -p "$work/sys/devices/platform/0000:00:07.0" "$work/elsewhere/devices/0000:00:08.0"
cat >list.json <<END
{"devices": [
  {"sysfs_path": "$work/sys/bus/pci/devices/0000:00:05.0", "kind": "network card"},
  {"sysfs_path": "$devices/0000:00:05.0", "kind": "the same"},
  {"sysfs_path": "$devices/0000:00:06.0"},
  {"sysfs_path": "$work/sys/bus/pci/devices/0000:00:09.0", "kind": "not there"},
  {"sysfs_path": "$work/sys/devices/platform/0000:00:07.0", "kind": "not of PCI"},
  {"sysfs_path": "$work/elsewhere/devices/0000:00:08.0", "kind": "not of sysfs"}
]}
END
bus=$work/sys/bus/pci/devices

ask() { vivctl "$@" >answer 2>&1; }
says() { grep -qF -e "$1" answer; }
refused() { # TEXT VERB...
        refuses "${@:2}" && says "$1"
}
listed() { vivctl --json=short devices | jq -r '[.[] | "\(.Path | sub(".*/"; "")) \(.Kind)|\(.Driver)|\(.Available)"] | join(" ")'; }
run() { # NAME OPTIONS...
        ask run --detach --name "$1" --boot-timeout 0 --console console --kernel kernel "${@:2}"
}
pinnable() { eventually test -s limits && tr -s ' ' <limits | cut -d' ' -f4,5; }
hard=$(awk '/locked memory/ { print $5 }' /proc/self/limits)
ulimit -S -l 64

with() { start_daemon --sysfs="$work/sys" --assignable-devices="$work/list.json" --vmm-dialect=vivarium; }

with
same "the list is of what is there, once each" \
        "0000:00:05.0 network card|vfio-pci|true 0000:00:06.0 ||true" "$(listed)"
check "and is a table for people" sh -c "'$build/vivctl' --address='$address' devices | grep -q '^$bus/0000:00:05.0 .*vfio-pci.* yes'"
check "a VM gets one" run a --device "$bus/0000:00:05.0"
check "its VMM is told" eventually grep -q -e "--vfio path=$bus/0000:00:05.0 " line
same "and may pin as much as the service may" "$hard $hard" "$(pinnable)"
check "it is told by the VM's properties" sh -c "'$build/vivctl' --address='$address' --json=short show a | grep -q '\"AssignedDevices\":\\[\"0000:00:05.0\"\\]'"
same "and is taken" "0000:00:05.0 network card|vfio-pci|false 0000:00:06.0 ||true" "$(listed)"
check "no other VM gets it" refused 'devices[0]: a VM has 0000:00:05.0 already' run b --device "$bus/0000:00:05.0"
check "not by its other name either" refused 'none that VMs of this host may have' run b --device "$devices/0000:00:05.0"
check "one that is not listed is refused" refused 'devices[0]: "'"$bus"'/0000:00:04.0" is none' run b --device "$bus/0000:00:04.0"
check "as is any other file" refused 'is none that VMs' run b --device /etc/passwd
check "one that is given twice is refused" refused 'devices[1]: is devices[0], too' run b --device "$bus/0000:00:06.0" --device "$bus/0000:00:06.0"
check "by both its names, too" refused 'devices[1]: is devices[0], too' run b --device "$bus/0000:00:06.0" --device "$devices/0000:00:06.0"
check "the software processor takes none" refused 'the software processor, which must see each write' run b --hypervisor soft --device "$bus/0000:00:06.0"
check "a path has to be one" refused 'devices[0]: expected a path' run b --device 0000:00:06.0

kill -9 "$daemon"
wait "$daemon" 2>>log
with
check "another service knows who has it" refused 'a VM has 0000:00:05.0 already' run b --device "$bus/0000:00:05.0"
: >line
check "a VM that is not started has one as well" ask create --name c --kernel kernel --device "$devices/0000:00:06.0"
check "which is its own" refused 'a VM has 0000:00:06.0 already' run b --device "$bus/0000:00:06.0"
check "until it is given up" ask release c
check "the end of a VM gives its own back" ask kill a
same "both are free" "0000:00:05.0 network card|vfio-pci|true 0000:00:06.0 ||true" "$(listed)"
check "the next VM gets both" run d --device "$bus/0000:00:06.0" --device "$bus/0000:00:05.0"
check "in its order" eventually grep -q -e "--vfio path=$bus/0000:00:06.0 .*--vfio path=$bus/0000:00:05.0 " line
check "and ends" ask kill d

echo '{"devices": [{"path": "/sys"}]}' >list.json
check "a list that is wrong is an error that names file and place" refused "$work/list.json: devices[0]" ask devices
check "for a VM with devices, too" refused "$work/list.json: devices[0]" run b --device "$bus/0000:00:05.0"
rm limits
check "other VMs do not mind" run e
same "and pin no more than they did" "65536 65536" "$(pinnable)"
ask kill e
rm list.json
same "without a list there are none" "" "$(listed)"
check "and nobody gets one" refused 'is none that VMs' run b --device "$bus/0000:00:05.0"
[ $failed -eq 0 ]
