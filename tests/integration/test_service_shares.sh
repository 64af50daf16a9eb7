#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Folders that the real service shares with real guests on the software processor: the guest gets the folder and nothing
# else, as the owner of the VM and nobody else, and what serves it ends with the VM, whoever was killed when.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 40 log answer >&2; }

need_guest
[ -x /usr/lib/qemu/virtiofsd ] || skip_all "no virtiofsd: make deps"
unshare -Urm true || skip_all "no user namespaces here"
start_bus
ask() { vivctl "$@" >answer 2>&1; }
die() { # PROCESS
        kill -9 "$1"
        wait "$1" 2>>log
}
# run NAME STEPS OPTIONS...: to its end
run() {
        local name=$1 steps=$2
        shift 2
        vivctl run --name "$name" --hypervisor soft --mem 192 --boot-timeout 0 \
                --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
                --params "console=ttyS0 quiet panic=-1 vivarium.test=$steps" "$@" >answer 2>&1
}
says() { grep -qE -- "$1" answer; }
# The process that serves the first folder of the VM with that CID
server_of() { sed -n 's/^server 0 \([0-9]*\) .*/\1/p' "$work/run/vm/$1/keeper"; }
is_gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }
keeper_says() { grep -q "$2" "$work/run/vm/$1/keeper"; }

start_daemon
mkdir "$work/folder" "$work/second"
head -c 3000000 /dev/urandom >"$work/folder/blob"
(cd "$work/folder" && sha256sum blob >from-host.sha256)
echo 'outside' >"$work/outside"
ln -s ../outside "$work/folder/way-out"
check "a guest mounts a folder" run a \
        "share:work:4,module:virtiofs,run:mount+-t+virtiofs+work+/mnt,run:ls+-n+/mnt,run:cat+/mnt/way-out,run:touch+/mnt/by-guest,poweroff" \
        --share "work:$work/folder"
check "reads it and writes to it" says '^step share: ok'
check "sees the numbers of users that it is told" says '^-rw-.* 1 0 +0 .* blob'
check "gets not out of it" refuses says '^outside'
check "and what it wrote is the VM owner's" sh -c "cd '$work/folder' && sha256sum -c from-guest.sha256 >>'$work/log' && [ -O by-guest ]"
check "its guest has another number for the owner" run b \
        "module:virtiofs,run:mount+-t+virtiofs+work+/mnt,run:ls+-n+/mnt,poweroff" "$(
                jq -n --arg dir "$work/folder" '{shared_paths: [{tag: "work", path: $dir, guest_uid: 1000, guest_gid: 100}]}' >"$work/b.json"
                echo "$work/b.json"
        )"
check "if the config says so" says '^-rw-.* 1 1000 +100 .* blob'

ask run --detach --name c --hypervisor soft --mem 192 --boot-timeout 0 --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
        --params "console=ttyS0 vivarium.test=hang" --share "one:$work/folder" --share "two:$work/second"
server=$(server_of 2050)
check "a process serves each folder" keeper_says 2050 '^server 1 '
same "from a user namespace of its own" "1" "$([ "$(readlink "/proc/$server/ns/user")" = "$(readlink /proc/self/ns/user)" ] || echo 1)"
same "and a network that is none" "1" "$([ "$(readlink "/proc/$server/ns/net")" = "$(readlink /proc/self/ns/net)" ] || echo 1)"
same "with the folder for its root" "$(stat -c %d:%i "$work/folder")" "$(stat -Lc %d:%i "/proc/$server/root")"
same "and open nothing that is not its own" "" "$(find "/proc/$server/fd" -lname "$work/*" ! -lname "$work/folder" ! -lname "$work/run/*")"
die "$daemon"
check "it outlives the service" refuses is_gone "$server"
start_daemon
check "and the next one" refuses is_gone "$server"
check "it ends with its VM" ask kill c
check "before that is told" is_gone "$server"

rm "$work/folder/from-guest.sha256"
ask run --detach --name d --hypervisor soft --mem 192 --boot-timeout 0 --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
        --params "console=ttyS0 vivarium.test=share:one:1,hang" --share "one:$work/folder"
eventually test -s "$work/folder/from-guest.sha256"
kill -9 "$(server_of 2051)"
check "one that is killed is seen" eventually keeper_says 2051 '^server-ended 0 killed 9'
check "its VM goes on" ask kill d
check "and has it on record" sh -c "\"$build/vivctl\" --address='$address' show d | grep -q 'what served shared_paths.0. had ended before with signal 9'"

check "a file is no folder" refuses run e poweroff --share "one:$work/outside"
check "and neither is a socket of nobody" refuses run e poweroff "$(
        jq -n --arg socket "$work/nobody" '{shared_paths: [{tag: "work", socket: $socket}]}' >"$work/e.json"
        echo "$work/e.json"
)"
(cd "$work/folder" && exec /usr/lib/qemu/virtiofsd --socket-path="$work/own" -o source="$work/folder" -o sandbox=chroot 2>>log) &
eventually listening "$work/own"
jq -n --arg socket "$work/own" '{shared_paths: [{tag: "work", socket: $socket}]}' >"$work/f.json"
check "a client may serve its folder itself" run f "share:work:1,poweroff" "$work/f.json"
check "which the guest does not see" says '^step share: ok'

die "$daemon"
printf '#!/bin/sh\necho "no such luck" >&2\nexit 3\n' >"$work/virtiofsd"
chmod 755 "$work/virtiofsd"
start_daemon --virtiofsd="$work/missing"
check "without virtiofsd a VM with a folder does not start" refuses run g poweroff --share "one:$work/folder"
check "and says why" says 'missing: execute virtiofsd: No such file'
die "$daemon"
start_daemon --virtiofsd="$work/virtiofsd"
check "one that fails at once is no secret" refuses run h poweroff --share "one:$work/folder"
check "with what it said" says 'no such luck'
[ $failed -eq 0 ]
