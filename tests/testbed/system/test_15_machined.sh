#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-machined: VMs are in its list while they run, and machinectl's verbs do to them what they do to containers.
. "$(dirname "$0")/lib.sh"

if ! command -v machinectl >/dev/null; then
        skip "VMs are registered with systemd-machined" "it is not installed"
        exit 0
fi
halted() { start_vm "$1" --kernel "$guest/tiny.elf" --mem 64 --params tiny=h:running; }
listed() { machinectl list --no-legend | awk '{ print $1 }' | sort | paste -sd' '; }
# Registration is not waited for by the start of a VM.
await_list() {
        timeout 240 bash -c 'until [ "$(machinectl list --no-legend | awk "{ print \$1 }" | sort | paste -sd" ")" = "$1" ]; do
                sleep 0.1; done' await "$1" && return
        listed >&2
        return 1
}
await_end() { await_death "$1" && await_list "$2"; }

check "a VM runs" halted listed
check "machinectl list has it" await_list listed
machinectl show listed >listed.txt
same "as a VM of ours, led by its VMM, in its scope" \
        "Class=vm Leader=$(vm_get listed Pid) Service=vivarium Unit=$(vm_get listed Unit)" \
        "$(grep -E '^(Class|Leader|Service|Unit)=' listed.txt | sort | paste -sd' ')"
same "by its own id" "$(vm_get listed Unit | sed "s/^vm-//; s/\.scope$//")" "$(sed -n "s/^Id=//p" listed.txt)"
check "machinectl status shows the VMM in the scope" sh -c 'machinectl status listed | grep vivarium-vmm'

check "one whose name machined does not take runs" halted "a name, with spaces"
fallback=$(vm_get "a name, with spaces" Unit)
fallback=${fallback%.scope}
check "it is listed by its unit's name" await_list "listed $fallback"
kill -9 "$(systemctl show -P MainPID vivariumd.service)"
timeout 240 sh -c "until vivctl list >/dev/null 2>&1; do :; done"
check "a restart of the service changes nothing" await_list "listed $fallback"
systemctl restart systemd-machined.service
check "nor does one of machined" await_list "listed $fallback"
check "vivctl kill ends one" vivctl kill "a name, with spaces"
check "it is listed no more" await_list listed
check "machinectl terminate works" machinectl terminate listed
check "the VM ends, and is listed no more" await_end listed ""
same "it was stopped, and nobody crashed" SHUTDOWN "$(death listed VM_DEATH_REASON)"

run_vm polite --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" --mem 256 \
        --params "$stock_params vivarium.test=button:Power_Button,run:echo+pressed,poweroff" &
check "a guest waits for its power button" await_text polite.console 'waiting for the Power Button'
check "it is listed by the same time" await_list polite
check "machinectl poweroff works" machinectl poweroff polite
wait
check "the guest saw its button" grep -q '^pressed' polite.console
same "and shut itself down" SHUTDOWN "$(death polite VM_DEATH_REASON)"
check "it is listed no more, either" await_list ""

check "VMs of one name one after the other have it each time" bash -c '
        for i in 1 2 3; do
                vivctl run --detach --name again --kernel "$1/tiny.elf" --mem 64 --params tiny=h: || exit
                timeout 240 sh -c "until machinectl show again >/dev/null 2>&1; do sleep 0.1; done" || exit
                vivctl kill again && vivctl release again || exit
        done' again "$guest"
check "none stays" await_list ""

systemctl stop systemd-machined.service
systemctl mask --runtime systemd-machined.service
check "where machined cannot start, VMs run" halted without
check "and end" vivctl kill without
systemctl unmask --runtime systemd-machined.service
vivctl list --json=short | jq -r '.[].Name' | xargs -r -d '\n' vivctl release >&2
systemctl reset-failed vivariumd.service
