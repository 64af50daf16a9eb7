#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may talk to the service, and what it does for them: the system bus' policy, and polkit with Debian's own daemon.
. "$(dirname "$0")/lib.sh"

nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
# polkit asks the user database, not the process.
grep -q '^vivarium:' /etc/group || echo "vivarium:x:988:" >>/etc/group
sed -i 's/^\(vivarium:x:[0-9]*:\).*/\1daemon/' /etc/group
member() { setpriv --reuid=daemon --regid=daemon --init-groups "$@"; }
denied() {
        ! "$@" >denied.txt 2>&1 || return 1
        cat denied.txt
        grep -qiE 'may not|needs to authenticate|access denied|not allowed' denied.txt
}
call() { busctl call $BUS $MANAGER $BUS.Manager "$@"; }

check "root may list the VMs" call ListVms
check "another user may not create a VM" denied nobody busctl call $BUS $MANAGER $BUS.Manager CreateVm 'sa{sh}a{sv}' '{}' 0 0
check "another user may not drain the host" denied nobody busctl call $BUS $MANAGER $BUS.Manager Drain t 0
check "another user may not change the log level" \
        denied nobody busctl set-property $BUS /org/freedesktop/LogControl1 org.freedesktop.LogControl1 LogLevel s debug
cat >own.sh <<'INNER'
exec busctl call org.freedesktop.DBus / org.freedesktop.DBus RequestName su org.vivarium.vm1 0
INNER
check "another user may not own the service's name" denied nobody sh own.sh
check "nobody's attempts left no VM" sh -c "busctl --json=short call $BUS $MANAGER $BUS.Manager ListVms | jq -e '.data[0] == []'"

# A VM of root's that must not be seen, and stays as it is.
vivctl create --name=secret --kernel "$guest/tiny.elf" >/dev/null 2>&1
root_vm=$(busctl --json=short call $BUS $MANAGER $BUS.Manager GetVm s secret | jq -r '.data[0]')
check "another user sees no VM of root's" \
        sh -c "setpriv --reuid=65534 --regid=65534 --clear-groups busctl --json=short call $BUS $MANAGER $BUS.Manager ListVms | jq -e '.data[0] == []'"
check "another user may not read its properties" denied nobody busctl introspect $BUS "$root_vm"
check "another user may not kill it" denied nobody busctl call $BUS "$root_vm" $BUS.Vm Kill
check "it is there as it was" test "$(busctl --json=short get-property $BUS "$root_vm" $BUS.Vm State | jq -r .data)" = not-started
check "polkit's own daemon decides" systemctl is-active polkit.service
member timeout 120 vivctl run --name hers --hypervisor soft --kernel "$guest/tiny.elf" --mem 64 --params "tiny=r:" \
        >member.txt 2>&1
cat member.txt >&2
check "a member of the group has a VM of its own" grep -q REBOOT member.txt
check "a member does not see root's" sh -c "setpriv --reuid=daemon --regid=daemon --init-groups vivctl list --json=short | tee /dev/stderr | jq -e '. == []'"
check "a member may not drain the host" denied member busctl call $BUS $MANAGER $BUS.Manager Drain t 0
journalctl --sync
check "the journal says who was kept from what" \
        sh -c "journalctl -q MESSAGE_ID=6f6d0b6bd3d54d9f9d2c4ac0a7e7a0b1 VM_VERDICT=denied VM_CALLER_UID=65534 | tee /dev/stderr | grep -q CreateVm"
vivctl release secret >/dev/null 2>&1
