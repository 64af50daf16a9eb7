#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks that come, grow and go while a real guest runs on the software processor, asked of the real service: what the guest
# sees, what is refused and how, and that neither a new daemon nor descriptors are lost.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 30 log answer console >&2; }

need_guest
gzip -dc "$guest/initrd.img" | cpio -it --quiet | grep -q evdev || skip_all "an old guest in $guest: make guest"
start_bus
start_daemon

ask() { vivctl "$@" >answer 2>&1; }
says() { grep -qE -- "$1" answer; }
refused() { # PATTERN VERB...
        refuses ask "${@:2}" && says "$1"
}
guest_says() { eventually grep -qE -- "$1" console; }
open_files() { find "/proc/$1/fd" -type l | wc -l; }
disks() { vivctl --json=short disk list web | jq -r '[.[] | "\(.Disk):\(.Bytes):\(.Writable):\(.Serial)"] | join(" ")'; }
holds() { find "/proc/$1/fd" -lname "$work/$2" | grep -q .; }

truncate -s 8M first.img
truncate -s 4M second.img
truncate -s 1M third.img
check "a VM with a disk runs" ask run --detach --name web --hypervisor soft --mem 192 --boot-timeout 0 --console console \
        --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" --disk first.img \
        --params "console=ttyS0 quiet panic=-1 vivarium.test=plug:vdb,run:cat+/sys/block/vdb/serial,resize:vdb:16384,resize:vda:40960,plug:vdc,run:cat+/sys/block/vdc/ro,unplug:vdb,unplug:vda,hang"
vmm_pid=$(vivctl --json=short show web | jq -r '(if type == "array" then .[0] else . end).Pid')
check "its first step waits for a disk" guest_says '^waiting for vdb'
same "the service tells what it has" "0:8388608:true:" "$(disks)"
before=$(open_files "$daemon")

for method in ListDisks AddDisk RemoveDisk ResizeDisk; do
        check "the capabilities have $method" sh -c "'$build/vivctl' --address='$address' --json=short capabilities | jq -e '.operations | index(\"$method\")' >>log"
done
check "a disk is added" ask disk add --serial data-1 web second.img
same "and gets the next number" 1 "$(cat answer)"
check "the guest reads it" guest_says '^step plug: ok vdb 8192'
check "and knows its serial number" guest_says '^data-1'
check "a larger size is asked for" ask disk resize web data-1 8M
check "and the guest sees it" guest_says '^step resize: ok vdb:16384'
check "as that of the disk it began with" ask disk resize web 0 20M
check "so is that seen" guest_says '^step resize: ok vda:40960'
same "the files have the sizes" "20971520 8388608" "$(stat -c %s first.img second.img | xargs)"

kill -9 "$daemon"
wait "$daemon" 2>>log
start_daemon
same "another daemon knows of the disks" "0:20971520:true: 1:8388608:true:data-1" "$(disks)"
check "and adds more, read-only if so asked" ask disk add web third.img:ro
check "which the guest sees" guest_says '^step plug: ok vdc 2048'
check "it cannot write there" guest_says '^1.?$'

check "a smaller size needs a word" refused 'would cut off its end' disk resize web 1 1M
check "a read-only disk keeps its size" refused 'read-only' disk resize web 2 4M
check "a size of half a sector is none" refused 'not a size' disk resize web 1 10000000
check "a disk that is not there is refused" refused 'no disk "7"' disk remove web 7
check "a file that is in use is refused" refused 'second.img|lock' disk add web second.img
check "a directory is no disk" refused 'Is a directory' disk add web "$work"
mkfifo pipe
check "nor is a pipe" refused 'neither a file' disk add web pipe
head -c 4096 /dev/urandom >qcow2
printf 'QFI\373\0\0\0\003' | dd of=qcow2 conv=notrunc status=none
check "nor an image in another format" refused 'the VMM says:.*qcow2' disk add web qcow2
check "a serial number is bounded" refused '1 to 20 letters' disk add --serial a,path=/etc/passwd web third.img:ro
path=$(vivctl --json=short list | jq -r '.[0].Path')
add() { # FILE-DESCRIPTOR-MODE OPTIONS...
        busctl --address="$address" call org.vivarium.vm1 "$path" org.vivarium.vm1.Vm "$@" >answer 2>&1
}
check "a number that no disk has stays an error of the VMM" refuses add RemoveDisk u 4294967295
check "so does a size beyond all" refuses add ResizeDisk ut 0 18446744073709551615
check "of which the message speaks" says 'no disk is that large'

check "a suspended VM" ask suspend web
check "cannot let go of a disk" refused 'it is suspended' disk remove web 1
check "until it goes on" ask resume web
check "a disk is removed by its serial number" ask disk remove web data-1
check "the guest let go of it" guest_says '^step unplug: ok vdb'
check "and the VMM of its file" refuses holds "$vmm_pid" second.img
check "and so with the first" ask disk remove web 0
check "the guest is done with that, too" guest_says '^step unplug: ok vda'
same "one is left" "2:1048576:false:" "$(disks)"
check "a number is free again" ask disk add web second.img
same "for the next disk" 0 "$(cat answer)"
same "the service kept no descriptor" "$before" "$(open_files "$daemon")"
check "the journal's line of what was asked for is there" grep -q 'AddDisk.*web' log

check "the VM ends" ask kill web
check "no disk is added to a dead one" refused 'it is dead, not running' disk add web second.img
check "nor listed" refused 'not running' disk list web
check "and its files are free" flock -n second.img true
stop_daemon

cat >crosvm <<'END'
#!/bin/sh
exec sleep 1000
END
chmod 755 crosvm
vmm=$work/crosvm
echo kernel >kernel
start_daemon --vmm-dialect=crosvm
ask run --detach --name web --kernel kernel --console console
check "a crosvm cannot do that, and it is said" refused 'its VMM is a crosvm' disk add web third.img:ro
check "of removing, too" refused 'its VMM is a crosvm' disk remove web 0
check "its VM ends" ask kill web
[ $failed -eq 0 ]
