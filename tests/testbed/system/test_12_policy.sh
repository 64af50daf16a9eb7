#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who may talk to the service: without polkit on the bus, root only.
. "$(dirname "$0")/lib.sh"

nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
denied() {
        ! "$@" >denied.txt 2>&1 || return 1
        cat denied.txt
        grep -qiE 'access denied|AccessDenied' denied.txt
}

check "root may list the VMs" busctl call $BUS $MANAGER $BUS.Manager ListVms
check "another user may not create a VM" \
        denied nobody busctl call $BUS $MANAGER $BUS.Manager CreateVm 'sa{sh}a{sv}' '{}' 0 0
check "another user may not list the VMs" denied nobody busctl call $BUS $MANAGER $BUS.Manager ListVms
cat >own.sh <<'INNER'
exec busctl call org.freedesktop.DBus / org.freedesktop.DBus RequestName su org.vivarium.vm1 0
INNER
check "another user may not own the service's name" denied nobody sh own.sh
check "nobody's attempts left no VM" sh -c "busctl --json=short call $BUS $MANAGER $BUS.Manager ListVms | jq -e '.data[0] == []'"
