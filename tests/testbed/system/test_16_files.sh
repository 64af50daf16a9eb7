#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make install` gives systemd besides units, by systemd's own tools: group, folders, catalog.
. "$(dirname "$0")/lib.sh"

check "systemd-sysusers takes our file" systemd-sysusers vivarium.conf
check "the group is there" getent group vivarium
rmdir /etc/vivarium/vms /etc/vivarium 2>/dev/null
check "systemd-tmpfiles takes our file" systemd-tmpfiles --create vivarium.conf
same "the folder of vm@.service is there, and root's" "755 root" "$(stat -c '%a %U' /etc/vivarium/vms)"
check "the catalog compiles" journalctl --update-catalog
run_tiny explained "t:NO_REASON|its-details"
journalctl --sync
journalctl -q --no-pager -x MESSAGE_ID=76c5f04ca91f4b6d851c77331adeb443 VM=explained >explained.txt
check "journalctl -x explains an end with the fields of that end" \
        grep -q "Virtual machine explained has ended: $(death explained VM_DEATH_REASON)" explained.txt
check "with what the guest said" grep -q '"NO_REASON" on its failure port' explained.txt
same "every field that the entry shows is there" "" "$(grep -o '@[A-Z_]*@' explained.txt)"
for unit in vivariumd.service vivarium.slice vm@name.service; do
        check "systemd-analyze verify has nothing against $unit" sh -c "
                systemd-analyze verify --man=no $unit >verify.log 2>&1; cat verify.log; ! grep -i vivarium verify.log"
done
