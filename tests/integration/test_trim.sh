#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A stock guest gives up memory when it is asked to, and when the host is short of it: a FIFO stands for the kernel's account.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
explain() { tail -n 20 log answer >&2; }

need_guest tiny.elf
start_bus
mkfifo psi
start_service() { start_daemon --memory-pressure="$work/psi" --trim-interval=1; }
start_service
# waits SOME FULL: percent of the last 10 s in which tasks of the host waited
waits() { printf 'some avg10=%s avg60=0.00 avg300=0.00 total=0\nfull avg10=%s avg60=0.00 avg300=0.00 total=0\n' "$1" "$2" >psi; }
ask() { vivctl "$@" >answer 2>&1; }
# The guest gave up at least MIN and at most MAX MiB.
given() { ask balloon a && read -r mib _ <answer && [ "$mib" -ge "$1" ] && [ "$mib" -le "$2" ]; }

echo '{"auto_memory_balloon": true}' >a.json
ask run --detach --name a --hypervisor soft --mem 256 --boot-timeout 0 --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
        --params "console=ttyS0 quiet vivarium.test=module:virtio_balloon,hang" a.json
ask run --detach --name b --hypervisor soft --mem 64 --boot-timeout 0 --kernel "$guest/tiny.elf" --params "tiny=h:"
same "the daemon says that it hears of pressure" true \
        "$(vivctl --json=short capabilities | jq '.["memory-pressure"].available')"
has_driver() { grep -aq 'step module: ok virtio_balloon' run/vm/2048/console; }
check "the driver of the guest is there" eventually has_driver
check "a level that is none is refused" refuses ask trim a harmless
check "and says which there are" grep -q 'critical.*low.*moderate' answer
check "the guest is trimmed" eventually ask trim a moderate
read -r mib _ <answer
check "moderate is a tenth of what the guest reports" [ "$mib" -ge 18 -a "$mib" -le 25 ]
check "it gives up so much" eventually given "$mib" "$mib"
ask balloon a 8
check "and gets it back" eventually given 0 8

# A guest that is too slow to answer is asked again when the pressure goes on.
pressed() { waits 6.00 0.00 && given 18 128; }
pressed_hard() { waits 9.00 5.00 && given 60 128; }
check "a guest follows the pressure of the host" eventually pressed
check "everybody's waiting takes it further at once" eventually pressed_hard
die() { kill -9 "$daemon" && wait "$daemon" 2>>log; }
die
start_service
check "it has its memory back when nobody waits, but for what its owner asked for" eventually given 8 8
has() { vivctl --json=short show "$1" | jq -e ".BalloonBytes == $2" >answer; }
check "which is what is known of it" has a $((8 << 20))
check "a guest that need not follow is left alone" has b 0
ask kill a b
[ $failed -eq 0 ]
