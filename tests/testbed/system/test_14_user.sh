#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A user without any rights has VMs of his own: his systemd, his bus, no root anywhere.
. "$(dirname "$0")/lib.sh"

ID=4711
grep -q ^carol: /etc/passwd || {
        echo "carol:x:$ID:$ID::/home/carol:/bin/sh" >>/etc/passwd
        echo "carol:x:$ID:" >>/etc/group
        echo "carol:*:19000:0:99999:7:::" >>/etc/shadow # or PAM has no session for her
        install -d -o $ID -g $ID -m 700 /home/carol
}
carol() {
        setpriv --reuid=$ID --regid=$ID --clear-groups env -i PATH="$PATH" HOME=/home/carol XDG_RUNTIME_DIR=/run/user/$ID "$@"
}
chmod 755 /run/vivarium-testbed "$PWD" 2>/dev/null

check "the user's systemd starts" systemctl start user@$ID.service
check "the user's bus is there" carol busctl --user status
check "the bus starts the service on demand" carol vivctl --user list
check "it is the user's unit" carol systemctl --user is-active vivariumd.service
pid=$(carol systemctl --user show -P MainPID vivariumd.service)
same "it runs as the user" $ID "$(stat -c %u "/proc/${pid:-0}")"
same "it has no capability" 0000000000000000 "$(sed -n 's/^CapEff:\t//p' "/proc/${pid:-0}/status")"
carol timeout 120 vivctl --user run --name mine --hypervisor soft --kernel "$guest/tiny.elf" --mem 64 \
        --params "tiny=r:" >run.txt 2>&1
cat run.txt >&2
check "a VM runs until it resets itself" grep -q REBOOT run.txt
carol vivctl --user create --name stays --hypervisor soft --kernel "$guest/tiny.elf" --mem 64 --params "tiny=h:" >&2
carol vivctl --user start stays >&2
check "a VM has a scope of the user's systemd" sh -c "systemd-cgls -u user@$ID.service --no-pager | tee /dev/stderr | grep -q 'vm-.*scope'"
vmm=$(pgrep -u $ID -f vivarium-vmm | head -1)
carol systemctl --user restart vivariumd.service
check "it outlives the service" carol sh -c "vivctl --user list | grep -q 'stays.*running'"
check "its VMM is the same" kill -0 "${vmm:-0}"
check "the history is in the user's home" test -e /home/carol/.local/state/vivarium/history
same "the system's service knows of none" '[]' "$(busctl --json=short call $BUS $MANAGER $BUS.Manager ListVms | jq -c '.data[0]')"
carol vivctl --user kill stays >&2
systemctl stop user@$ID.service
