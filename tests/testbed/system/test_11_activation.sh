#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The service is started by the bus when the first client calls it.
. "$(dirname "$0")/lib.sh"

check "the bus knows how to start the service" \
        busctl --json=short call org.freedesktop.DBus / org.freedesktop.DBus ListActivatableNames
same "the service does not run before anybody calls it" inactive "$(systemctl is-active vivariumd.service)"
check "a call to the service starts it" busctl call $BUS $MANAGER $BUS.Manager GetCapabilities
same "the unit is active" active "$(systemctl is-active vivariumd.service)"
same "systemd was told when it was ready" notify "$(systemctl show -P Type vivariumd.service)"
pid=$(systemctl show -P MainPID vivariumd.service)
same "the unit's process owns the bus name" "u $pid" \
        "$(busctl call org.freedesktop.DBus / org.freedesktop.DBus GetConnectionUnixProcessID s $BUS)"
same "it is our daemon" vivariumd "$(cat "/proc/$pid/comm")"
check "it says that KVM is available" sh -c \
        "busctl --json=short call $BUS $MANAGER $BUS.Manager GetCapabilities | jq -e '.. | objects | select(.kvm?) | .kvm | .. | objects | .available?.data? // empty'"
at_most "memory of the idle daemon in KiB is within its promise" 4096 "$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")"
for interface in Manager Vm; do
        check "the introspection file of $interface is installed" test -s "/usr/share/dbus-1/interfaces/$BUS.$interface.xml"
done
check "its exposure is at most 2.0" sh -c \
        "systemd-analyze security --no-pager --threshold=20 vivariumd.service >security.txt 2>&1"
echo "# hardening: $(tail -n 1 security.txt | sed 's/.*Overall/Overall/')"
check "systemctl stop ends it in order" systemctl stop vivariumd.service
same "its exit was clean" success "$(systemctl show -P Result vivariumd.service)"
check "the next call starts it again" busctl get-property $BUS $MANAGER $BUS.Manager Version
