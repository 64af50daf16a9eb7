#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks and shared folders of the service as a host has them: systemd-networkd hands out addresses, units confine all.
. "$(dirname "$0")/lib.sh"

check "the network service is confined" sh -c \
        "systemd-analyze security --no-pager --threshold=20 vivarium-netd.service >security.txt 2>&1"
echo "# hardening: $(tail -n 1 security.txt | sed 's/.*Overall/Overall/')"
systemctl start systemd-networkd.service
links() { ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | grep -E '^(viv-|vm)' | sort | xargs; }

mkdir folder
head -c 1000000 /dev/urandom >folder/blob
(cd folder && sha256sum blob >from-host.sha256)
jq -n --arg dir "$work/folder" '{network: true, shared_paths: [{tag: "work", path: $dir}]}' >lease.json
run_guest lease "dhcp,share:work:2,poweroff" lease.json
expect_death "a guest with a network and a folder powers off" lease SHUTDOWN 0
says lease '^dhcp 10[.]86[.]' "systemd-networkd gave it an address"
says lease '^step share: ok' "the guest reads and writes the folder"
check "and what it wrote is whole" sh -c "cd folder && sha256sum -c from-guest.sha256"

start_vm stays --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" --mem 256 \
        --params "$stock_params vivarium.test=hang" lease.json
check "its interface is in its network" sh -c "ip -o link show master viv-default | grep -q 'alias vivarium vm .* stays'"
unit=$(vm_get stays Unit)
check "virtiofsd is in the VM's scope" sh -c "grep -l virtiofsd \$(sed 's,^,/proc/,; s,\$,/comm,' \
        /sys/fs/cgroup\$(systemctl show -P ControlGroup '$unit')/cgroup.procs)"
before=$(links)
systemctl kill --signal=KILL vivarium-netd.service
same "interfaces outlive the network service" "$before" "$(links)"
timeout 240 vivctl kill stays >&2
comes_to "nothing is left when the VM is gone" "" links
comes_to "and systemd-networkd's file is removed" "" find /run/systemd/network -name '*viv*'
systemctl stop systemd-networkd.service
