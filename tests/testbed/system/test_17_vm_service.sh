#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vm@.service: a VM is a service as any other, ordered and depended upon, started anew, stopped, with a console.
. "$(dirname "$0")/lib.sh"

mkdir -p /etc/vivarium/vms
define() { # NAME JSON
        printf '%s\n' "$2" >"/etc/vivarium/vms/$1.json"
}
tiny() { define "$1" "{\"kernel\": \"$guest/tiny.elf\", \"params\": \"tiny=$2\", \"memory_mib\": 64}"; }
show() { systemctl show -P "$1" "$2"; }
# await_journal TIMES PATTERN FIELD=VALUE...: until so many messages match; waits for the journal, which costs the host nothing
await_journal() {
        timeout 120 bash -c '
                times=$1 pattern=$2
                shift 2
                exec 3< <(exec journalctl -q -f -n all -o cat "$@")
                follower=$!
                # not -q, with which the first match would do
                grep -m "$times" -E -- "$pattern" <&3
                status=$?
                kill $follower
                exit $status' await "$@"
}
said() { await_journal 1 "$2" "VM=$1" SYSLOG_IDENTIFIER=vivarium-console; }
died() { await_journal "$2" 'ended:' "VM=$1" MESSAGE_ID=76c5f04ca91f4b6d851c77331adeb443; }
# until the unit is in that state
is() {
        timeout 120 bash -c 'until [ "$(systemctl show -P ActiveState "$1")" = "$2" ]; do sleep 1; done' await "$1" "$2"
}
deaths() { journalctl --sync >&2 && journalctl -q --no-pager -o json MESSAGE_ID=76c5f04ca91f4b6d851c77331adeb443 "VM=$1" | jq -r .VM_DEATH_REASON; }

define web "{\"kernel\": \"$guest/vmlinuz\", \"initrd\": \"$guest/initrd.img\", \"memory_mib\": 256,
        \"params\": \"console=hvc0 quiet panic=-1 cryptomgr.notests=1 vivarium.test=echo:first,button:Power_Button,poweroff\",
        \"limits\": {\"tasks_max\": 50}}"
printf '[Unit]\nBindsTo=vm@web.service\nAfter=vm@web.service\n[Service]\nExecStart=sleep infinity\n' \
        >/run/systemd/system/needs-web.service
systemctl daemon-reload
check "a service that needs a VM starts" systemctl start needs-web.service
same "the VM's unit was started for it" active "$(show ActiveState vm@web.service)"
began() { show ActiveEnterTimestampMonotonic "$1"; }
check "before it" test "$(began vm@web.service)" -le "$(began needs-web.service)"
check "the VM's console is in the journal" said web 'vivarium-guest: reading'
same "it runs" running "$(vm_get web State)"
vmm=$(vm_get web Pid)
client=$(show MainPID vm@web.service)
same "the VM is in a scope of its own, with its own limits" "vivarium.slice 50" \
        "$(show Slice "$(vm_get web Unit)") $(show TasksMax "$(vm_get web Unit)")"

mkfifo keys
timeout 300 vivctl console web <keys >console.txt 2>&2 &
viewer=$!
exec 7>keys
echo one >&7
check "vivctl console shows it and takes keys" eventually grep -q '^first one' console.txt
exec 7>&-
kill $viewer
wait $viewer
check "the service is restarted" systemctl restart vivariumd.service
check "the guest waits for its button" said web 'waiting for the Power Button'
same "which disturbed neither unit nor VM" "active $client $vmm 0" \
        "$(show ActiveState vm@web.service) $(show MainPID vm@web.service) $(vm_get web Pid) $(show NRestarts vm@web.service)"

check "the unit is stopped" timeout 100 systemctl stop vm@web.service
same "its guest was shut down by its power button" "SHUTDOWN power-button" \
        "$(death web VM_DEATH_REASON) $(death web VM_STOP_STEP)"
same "that was no failure" "inactive success" "$(show ActiveState vm@web.service) $(show Result vm@web.service)"
check "what is bound to it has ended" is needs-web.service inactive

# It resets itself at once, whenever it is started. The journal is all scripts': no other has a VM of that name.
tiny resetting r:
systemctl start vm@resetting.service
check "a VM that reboots is made anew" died resetting 2
check "by a restart of the unit" test "$(show NRestarts vm@resetting.service)" -ge 1
systemctl stop vm@resetting.service
same "it ended for that reason each time" REBOOT "$(deaths resetting | sort -u | grep -v KILLED)"

tiny halted h:running
systemctl start vm@halted.service
check "another one runs" said halted running
check "somebody kills it" vivctl kill halted
check "its unit has failed" is vm@halted.service failed
same "with the status that tells of a kill, and stays so" "11 0" \
        "$(show ExecMainStatus vm@halted.service) $(show NRestarts vm@halted.service)"

define wrong "{\"kernel\": \"$guest/tiny.elf\", \"nonsense\": 1}"
systemctl start vm@wrong.service
check "a wrong file is a failure" is vm@wrong.service failed
journalctl --sync
check "the unit's log says where it is wrong" journalctl -q --no-pager -u vm@wrong.service -g nonsense
same "and trying again would not help" 0 "$(show NRestarts vm@wrong.service)"
check "without a file there is no start" sh -c '! systemctl start vm@missing.service'

systemctl reset-failed
rm -f /run/systemd/system/needs-web.service /etc/vivarium/vms/{web,resetting,halted,wrong}.json
systemctl daemon-reload
