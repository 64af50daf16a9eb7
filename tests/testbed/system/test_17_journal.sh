#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The service's entries in a real journal: each is found by its own fields, has all that it should, and is explained by the
# catalog.
. "$(dirname "$0")/lib.sh"

created=6e71c9c5a74549e4a77370cda01f62a2
booted=334c246e0cf44ddaa9e7fc14c0ed5586
ended=76c5f04ca91f4b6d851c77331adeb443
audited=6f6d0b6bd3d54d9f9d2c4ac0a7e7a0b1
# find_entry FIELD=VALUE...: once journald has read all that it was sent
find_entry() {
        journalctl --sync >&2
        journalctl -q --no-pager -o json "$@" | tail -n 1
}
# has ENTRY FIELD...: those of them that it lacks
lacks() {
        local entry=$1 field
        shift
        for field in "$@"; do
                jq -e --arg field "$field" 'has($field)' <<<"$entry" >/dev/null || echo "$field"
        done
}
# values ENTRY FIELD...: as one line
values() {
        local entry=$1
        shift
        jq -r '[.[$ARGS.positional[]] // "-"] | join(" ")' --args "$@" <<<"$entry"
}
explained() { # SENTENCE PATTERN FIELD=VALUE...
        local sentence=$1 pattern=$2
        shift 2
        journalctl -q --no-pager -x "$@" >explained.txt
        check "$sentence" grep -q -- "$pattern" explained.txt
        same "with nothing left to fill in" "" "$(grep -o '@[A-Z_]*@' explained.txt)"
}
journalctl --update-catalog

run_guest noted notify:X_VIVARIUM_STATE=started,notify:EXIT_STATUS=3,poweroff
id=$(values "$(find_entry MESSAGE_ID=$created VM=noted)" VM_ID)

entry=$(find_entry MESSAGE_ID=$created VM_CREATION_SUCCEEDED=1 VM=noted)
same "a creation is an entry" "noted 0 0 raw 1 256 6 vivariumd vivariumd.service" \
        "$(values "$entry" VM VM_OWNER_UID VM_PROTECTED VM_CONFIG_TYPE VM_CPUS VM_MEMORY_MIB PRIORITY SYSLOG_IDENTIFIER _SYSTEMD_UNIT)"
same "with all that Android's has" "" "$(lacks "$entry" VM_ID VM_HYPERVISOR VM_ERROR VM_MESSAGE)"
explained "the catalog explains it" 'asked for the virtual machine noted with 256 MiB' MESSAGE_ID=$created VM=noted

entry=$(find_entry MESSAGE_ID=$booted "VM_ID=$id")
same "the start of a payload is an entry" "noted 0 6" "$(values "$entry" VM VM_OWNER_UID PRIORITY)"
same "with CID and duration" "" "$(lacks "$entry" VM_CID VM_BOOT_USEC)"
check "which is more than nothing" test "$(values "$entry" VM_BOOT_USEC)" -gt 0
explained "the catalog explains it, too" 'The guest of virtual machine noted' MESSAGE_ID=$booted "VM_ID=$id"

entry=$(find_entry MESSAGE_ID=$ended VM_DEATH_REASON=SHUTDOWN "VM_ID=$id")
same "an end is an entry" "noted 0 3 0 0 0 6" \
        "$(values "$entry" VM VM_OWNER_UID VM_DEATH_REASON_CODE VM_EXIT_STATUS VM_EXIT_SIGNAL VM_CORE_DUMPED PRIORITY)"
same "with all that the manual names" "" "$(lacks "$entry" VM_CID VM_SYSTEM_CALL VM_FAILURE_TEXT VM_FAILURE_INFO VM_FAILURE_BYTES \
        VM_MESSAGE VM_RAMDUMP VM_RUN_TIME_USEC VM_GUEST_CPU_USEC VM_RSS_PEAK_BYTES VM_RSS_GUEST_PEAK_BYTES VM_RSS_VMM_PEAK_BYTES \
        VM_STOP_REQUESTED_BY VM_STOP_STEP)"
peak=$(values "$entry" VM_RSS_PEAK_BYTES)
check "its peak of memory is that of a Linux that has booted: ${peak:-nothing}" test "${peak:-0}" -gt $((32 << 20))
check "and is at least what was sampled" \
        test "${peak:-0}" -ge "$(values "$entry" VM_RSS_GUEST_PEAK_BYTES)"
explained "the catalog explains it as well" 'Virtual machine noted has ended: SHUTDOWN' MESSAGE_ID=$ended "VM_ID=$id"
same "every entry of one VM is found by its id" 3 \
        "$(journalctl -q --no-pager -o json "VM_ID=$id" SYSLOG_IDENTIFIER=vivariumd | jq -r .MESSAGE_ID | sort -u | grep -cE "$created|$booted|$ended")"

run_tiny crashed t:
same "an end that nobody wanted is a warning" "CRASH 33 4" \
        "$(values "$(find_entry MESSAGE_ID=$ended VM=crashed)" VM_DEATH_REASON VM_EXIT_STATUS PRIORITY)"

busctl call $BUS $MANAGER $BUS.Manager CreateVm 'sa{sh}a{sv}' '{"name": "refused", "kernel": "fd:none"}' 0 0 2>refusal.txt
entry=$(find_entry MESSAGE_ID=$created VM_CREATION_SUCCEEDED=0 VM=refused)
same "a refusal is an entry, a notice with the error's name" "0 5 $BUS.Error.InvalidConfig" \
        "$(values "$entry" VM_OWNER_UID PRIORITY VM_ERROR)"
explained "the catalog says why" 'Whether it was made: 0' MESSAGE_ID=$created VM=refused

setpriv --reuid=65534 --regid=65534 --clear-groups busctl call $BUS $MANAGER $BUS.Manager Drain t 0 2>denied.txt
entry=$(find_entry MESSAGE_ID=$audited VM_VERDICT=denied VM_CALL=Drain)
same "an audited call is an entry" "65534 busctl" "$(values "$entry" VM_CALLER_UID VM_CALLER_COMM)"
same "which says by what it was decided" "" "$(lacks "$entry" VM_CALLER_PID VM_ACTION VM_VERDICT_BASIS VM_OWNER_UID)"
explained "the catalog explains that" 'Drain by uid 65534 was denied' MESSAGE_ID=$audited VM_CALL=Drain VM_CALLER_UID=65534
