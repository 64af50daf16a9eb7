#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/OPTIONS.md says what the program does, and options about processors and persistent memory do it, in a stock guest on the
# software processor.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
table=$here/../../docs/OPTIONS.md

# ---- the table and the program ----
# shellcheck disable=SC2016 # the quotes of the document
section() { sed -n "/^## $1/,/^## [^$2]/p" "$table" | sed -n 's/^| `--\([a-z0-9-]*\)` .*/\1/p' | sort; }
section Honoured H >honoured
section Refused R >refused
# shellcheck disable=SC2094 # the word is no file
"$vmm" --help | sed -n 's/^  \(-.,\|   \) --\([a-z0-9-]*\) .*/\2/p' | grep -vx -e help -e version | sort -u >help
check "every honoured option of the table is in --help, and the other way round" cmp honoured help
check "no option of the table is in it twice" test -z "$(sort honoured refused | uniq -d)"
check "the table has all options of the contract" test "$(cat honoured refused | wc -l)" -gt 160
while read -r option; do
        "$vmm" run "--$option" k >refusal 2>&1
        [ $? -eq 35 ] || echo "$option"
        sed -n "s/.*--$option: crosvm option, not supported by this version: \(.*\)/| \`--$option\` | \1 |/p" refusal >row
        [ -s row ] && grep -qxFf row "$table" || echo "$option"
done <refused >not_refused
check "each refused option ends the VMM with 35, its name and the reason of the table" test ! -s not_refused
cat not_refused

sed -n '/^## Commands/,/^## Refused/s/^| `\([a-z0-9_]*\)` .*/\1/p' "$table" >commands
while read -r command; do
        "$vmm" --log-level info "$command" argument >refusal 2>&1
        [ $? -eq 35 ] || echo "$command"
        sed -n "s/.* $command: crosvm command, not supported by this version: \(.*\)/| \`$command\` | \1 |/p" refusal >row
        [ -s row ] && grep -qxFf row "$table" || echo "$command"
done <commands >not_refused
check "each refused command ends the VMM with 35, its name and the reason of the table" test -s commands -a ! -s not_refused
cat not_refused
same "a command tells its arguments, behind global options too" "  stop SOCKET                      end the VM at once, without telling it"         "$("$vmm" --log-level error --extended-status stop --help)"
same "version is a command as well" "$("$vmm" --version)" "$("$vmm" version)"

# ---- in a guest ----
if [ ! -e "$guest/initrd.img" ]; then
        echo "[  SKIPPED ] test_options: no stock guest in $guest: make guest"
        exit $((failed > 0))
fi
boot() { # CONSOLE STEPS ARGUMENTS...
        local console=$1 steps=$2
        shift 2
        case " $* " in *" --mem "*) ;; *) set -- --mem 256 "$@" ;; esac
        timeout 400 "$vmm" --extended-status run --hypervisor soft --initrd "$guest/initrd.img" \
                --serial "type=file,path=$console,hardware=serial,num=1,console=true" \
                --params "quiet panic=-1 vivarium.test=$steps" "$@" "$guest/vmlinuz" </dev/null 2>>vmm.log
}
topology=/sys/devices/system/cpu/cpu0/topology
look=run:grep+-H+.+$topology/thread_siblings_list+$topology/cluster_cpus_list,run:nproc,poweroff
boot smt $look --cpus 4 && boot flat $look --cpus 4,clusters=[[0,1],[2,3]] --no-smt
check "an even number of processors has two threads a core" grep -q 'thread_siblings_list:0-1' smt
check "with --no-smt a core has one" grep -q 'thread_siblings_list:0.\?$' flat
check "the guest sees the clusters" grep -q 'cluster_cpus_list:0-1' flat
boot host $look --host-cpu-topology
check "--host-cpu-topology has a processor for each of the host's" grep -q "^$(nproc).\?\$" host

first=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
boot "$work/placed" hang --cpus 2 --cpu-affinity "0=$first" &
reached() { grep -q "init reached" placed 2>grep.log; }
eventually reached
for thread in /proc/[0-9]*/task/*; do
        [ "$(cat "$thread/comm" 2>cat.log)" = vcpu0 ] &&
                grep -qz -e "$work" -e placed "${thread%/task/*}/cmdline" && grep Cpus_allowed_list "$thread/status"
done >allowed
check "vCPU 0 runs where --cpu-affinity says" grep -q ":[[:space:]]$first\$" allowed
pkill -f "path=$work/placed,hardware"
wait

refuses() { # NAME ARGUMENTS...
        local name=$1
        shift
        : >vmm.log
        boot refused_console poweroff "$@"
        [ $? -eq 1 ] && grep -q -e "$name: " vmm.log
}
works_or_refuses() { # NAME ARGUMENTS...: hosts differ in what they can
        boot refused_console poweroff "${@:2}" || refuses "$@"
}
check "--vcpu-cgroup-path names a directory that is no group" refuses "--vcpu-cgroup-path: $work" --vcpu-cgroup-path "$work"
for option in "--core-scheduling true" "--per-vm-core-scheduling" "--rt-cpus 0"; do
        # shellcheck disable=SC2086 # an option and its value
        check "$option works, or is an error that names it" works_or_refuses "${option%% *}" $option
done

policies() { # of the vCPUs' threads, in their order: "name policy priority"
        local thread stat
        for thread in /proc/[0-9]*/task/*; do
                grep -qz -e "path=$work/later,hardware" "${thread%/task/*}/cmdline" 2>>grep.log || continue
                stat=$(cat "$thread/stat" 2>>cat.log)
                [ "${stat#*(vcpu}" = "$stat" ] || echo "$stat" | awk '{ print $2, $41, $40 }'
        done | sort
}
begun() { grep -q "init reached" later 2>grep.log || ! kill -0 "$1" 2>kill.log; } # PROCESS
boot "$work/later" hang --cpus 2 --rt-cpus 1 --delay-rt --socket later.sock &
eventually begun $!
same "with --delay-rt no vCPU is real-time from the start" "(vcpu0) 0 0 (vcpu1) 0 0" "$(policies | tr '\n' ' ' | sed 's/ $//')"
made=0
"$vmm" make_rt later.sock 2>make_rt.log || made=1
if prlimit --rtprio=6 true 2>prlimit.log; then
        same "make_rt makes those of --rt-cpus, in the sandbox" "0 (vcpu0) 0 0 (vcpu1) 2 6" "$made $(policies | tr '\n' ' ' | sed 's/ $//')"
else
        check "make_rt is an error that names the vCPU, where the host forbids it" grep -q "MakeRT: vCPU 1: Operation not permitted" make_rt.log
fi
"$vmm" stop later.sock
wait $!

boot locks run:splitlock+40+1900,poweroff --bus-lock-ratelimit 20
check "with --bus-lock-ratelimit a program's bus locks take their time" grep -q "step run: ok splitlock" locks

# ---- memory of the host as persistent memory ----
steps=module:virtio_pmem,module:nd_pmem,run:dd+if=/dev/urandom+of=/dev/pmem0+bs=1M+count=32
boot "$work/paged" "$steps,run:md5sum+/dev/pmem0,button:Power_Button,run:md5sum+/dev/pmem0,poweroff" \
        --socket paged.sock --pmem paged_out_memory,root,vma-size=33554432,swap-interval-ms=100 &
waits() { grep -q "waiting for the Power Button" paged 2>>grep.log || ! kill -0 "$1" 2>kill.log; } # PROCESS
resident() { # KiB of that memory in the page tables of its VMM
        cat /proc/[0-9]*/smaps 2>>cat.log | sed -n '/memfd:paged_out_memory/,/^Rss:/s/^Rss: *\([0-9]*\) kB/\1/p'
}
gone() { kib=$(resident) && [ -n "$kib" ] && [ "$kib" -lt 8192 ]; }
eventually waits $!
check "pages of --pmem vma-size= leave the VMM by swap-interval-ms=" eventually gone
"$vmm" powerbtn paged.sock
wait $!
same "and come back as they were" 2 "$(sed -n 's/^\([0-9a-f]\{32\}\) .*/\1/p' paged | uniq -c | awk '{ print $1 }')"

# ---- the board ----
# An SSDT with Name (VIVX, 42): a header, whose checksum is put in behind, and seven bytes.
printf 'SSDT\053\0\0\0\002\0VIVARMVIVATEST\001\0\0\0TEST\001\0\0\0\010VIVX\012\052' >ssdt
sum=$(od -An -v -tu1 ssdt | awk '{for (i = 1; i <= NF; i++) s += $i} END {print (256 - s % 256) % 256}')
# shellcheck disable=SC2059 # an escape
printf "\\$(printf %o "$sum")" | dd of=ssdt bs=1 seek=9 conv=notrunc status=none
truncate -s 1M disk.img
dmi=/sys/class/dmi/id pci=/sys/bus/pci/devices tables=/sys/firmware/acpi/tables
steps=run:grep+-H+.+$dmi/bios_vendor+$dmi/sys_vendor+$dmi/product_serial+$dmi/product_uuid,smbios
steps=$steps,run:sha256sum+$tables/SSDT,run:hexdump+-s+112+-n+4+$tables/FACP,run:ls+/dev/rtc0,run:ls+-d+/sys/bus/acpi/devices/PNP0303:00
steps=$steps,run:cat+/proc/interrupts,run:cat+/proc/ioports,run:cat+/proc/iomem,module:virtio_balloon,run:grep+-H+.+/sys/bus/virtio/devices/virtio0/features,run:grep+-H+.+$pci/0000:00:1e.0/class,run:ls+-l+/sys/block/vda
uuid=12345678-9abc-def0-1234-56789abcdef0
boot board "$steps" --smbios "bios-vendor=Bv,manufacturer=Mf,serial-number=Sn,uuid=$uuid,oem-strings=[from-the-list]" \
        --acpi-table ssdt --s2idle --no-rtc --no-i8042 --disable-virtio-intx --break-linux-pci-config-io \
        --pci "mem=[start=0x80000000,size=0x10000000],ecam=[start=0xa0000000,size=0x100000]" \
        --mmio-address-range 0x88000000-0x8fffffff,0x100000000-0x1ffffffff \
        --stub-pci-device 0:1e.0,vendor=0x8086,device=0x7000,class=0x060100 --block disk.img,pci-address=0:9.0 --strict-balloon --balloon-page-reporting
check "a guest on a board of many options powers off" test $? -eq 0
boot usual "$steps" --block disk.img
check "a guest on the usual board powers off" test $? -eq 0
shows() { grep -q -e "$1" board && ! grep -q -e "$1" usual; }
check "--smbios names the machine" shows "bios_vendor:Bv"
check "--smbios names the manufacturer" shows "sys_vendor:Mf"
check "--smbios has the serial number" shows "product_serial:Sn"
check "--smbios has the UUID" shows "product_uuid:$uuid"
check "--smbios has OEM strings" shows "smbios from-the-list"
check "--acpi-table is there, byte by byte" shows "$(sha256sum <ssdt | cut -d' ' -f1)"
check "--s2idle is a flag of the FADT" shows "0000070 ....* 0020"
# bits of virtio_balloon: 1 statistics, 2 deflate on OOM, 5 reporting
check "--strict-balloon and --balloon-page-reporting are features of the balloon" shows "virtio0/features:010001"
check "--no-rtc leaves no clock" shows "step run: failed ls+/dev/rtc0"
check "--no-i8042 leaves no keyboard controller" shows "step run: failed ls+-d+/sys/bus/acpi/devices/PNP0303:00"
check "--disable-virtio-intx leaves messages" grep -q "PCI-MSI.*virtio" board
check "--break-linux-pci-config-io leaves no ports" test "$(grep -c 'PCI conf1' board usual | tr '\n' ' ')" = "board:0 usual:1 "
check "--pci moves configuration space" shows "^a0000000-a00fffff : PCI MMCONFIG"
check "--mmio-address-range cuts the window of --pci" shows "^88000000-8fffffff : PCI Bus"
check "--mmio-address-range cuts the upper window" shows "^100000000-1ffffffff : PCI Bus"
check "--stub-pci-device is a function of its class" shows "1e.0/class:0x060100"
check "pci-address= is where the disk is" shows "0000:00:09.0/virtio[0-9]*/block/vda"
printf x | dd of=ssdt bs=1 seek=42 conv=notrunc status=none
check "--acpi-table with a wrong checksum is refused" refuses "--acpi-table: ssdt" --acpi-table ssdt
check "--pci with windows that overlap is refused" refuses "--pci" --pci "ecam=[start=0xc0000000,size=0x100000]"
check "--mmio-address-range that leaves nothing is refused" refuses "--mmio-address-range" --mmio-address-range 0-1

# ---- who reads disks, and whose log it is ----
truncate -s 1M disk.img
has_read() { grep -qE "step run: (ok|failed)" served 2>grep.log || ! kill -0 "$1" 2>kill.log; } # PROCESS
explain() { tail -n 5 served vmm.log; }
# serves OPTIONS...: of a guest that has read its disk, "disk" if the VMM has a thread for that, "ring" if it has an io_uring
serves() {
        local task
        rm -f served
        boot "$work/served" run:dd+if=/dev/vda+of=/dev/null+bs=65536,hang "$@" &
        eventually has_read $!
        for task in $(pgrep -f "path=$work/served,hardware"); do
                # A thread that ends meanwhile is an error of cat's, not of what it has read.
                cat "/proc/$task"/task/*/comm 2>>cat.log | grep -qx disk && echo disk
                find "/proc/$task/fd" -lname '*io_uring*' 2>>grep.log | grep -q . && echo ring
        done
        pkill -f "path=$work/served,hardware"
        wait $!
}
check "--async-executor epoll has threads read the disk" test "$(serves --block disk.img --async-executor epoll)" = disk
check "the disk's own async-executor= comes first" test "$(serves --block disk.img,async-executor=epoll --async-executor uring)" = disk
reads_by_ring() { # hosts differ in what they can
        [ "$(serves --block disk.img,async-executor=uring)" = ring ] ||
                refuses "disk.img: cannot set up io_uring" --block disk.img,async-executor=uring
}
check "async-executor=uring has io_uring read it, or is an error that names it" reads_by_ring
"$vmm" --syslog-tag machine-7 run --block none.img k 2>tagged
check "--syslog-tag is what lines of the log begin with" grep -q "^machine-7: error: .*none.img" tagged

# ---- memory ----
head -c 8192 /dev/urandom >rw.bin
cp rw.bin ro.bin
cp rw.bin before.bin
truncate -s 64M ram.bin
word=0x$(od -An -tx4 -N4 rw.bin | tr -d ' ' | tr a-f A-F)
steps=run:devmem+0x200000000+32,run:devmem+0x200000004+32+0x11223344,run:devmem+0xe8001000+32+0x11223344
boot files "$steps,module:ramoops,crash" --file-backed-mapping addr=0x200000000,size=8192,path=rw.bin,rw \
        --file-backed-mapping addr=0xe8001000,size=4096,offset=4096,path=ro.bin \
        --file-backed-mapping addr=0xc000000,size=0x4000000,path=ram.bin,rw,ram --pstore path=words,size=0x100000
check "--file-backed-mapping shows the file" grep -q "^$word" files
check "--file-backed-mapping rw writes the file" test "$(od -An -tx4 -j4 -N4 rw.bin)" = " 11223344"
check "--file-backed-mapping without rw leaves the file alone" cmp ro.bin before.bin
check "--file-backed-mapping ram is what the guest wrote to" test "$(tr -d '\0' <ram.bin | head -c 4096 | wc -c)" -eq 4096
boot words_read "module:ramoops,run:mount+-t+pstore+p+/mnt,run:cat+/mnt/dmesg-ramoops-0,poweroff" --pstore path=words,size=0x100000
check "--pstore keeps a guest's last words for the next" grep -q 'Kernel panic.*sysrq triggered crash' words_read
check "--file-backed-mapping where devices are is refused" refuses "--file-backed-mapping: rw.bin" --file-backed-mapping addr=0xfec00000,size=4096,path=rw.bin
check "--file-backed-mapping where RAM is is refused" refuses "--file-backed-mapping: rw.bin" --file-backed-mapping addr=0x1000000,size=4096,path=rw.bin,rw
check "--file-backed-mapping beyond the file is refused" refuses "--file-backed-mapping: rw.bin" --file-backed-mapping addr=0x200000000,size=0x10000,path=rw.bin
for keys in hugetlb prefault "host-nodes=[0]"; do
        boot refused_console poweroff --mem "256,$keys" || { : >vmm.log && ! boot refused_console poweroff --mem "256,$keys" && grep -q 'memory\|--mem' vmm.log; }
        check "--mem $keys works, or is an error that says why" test $? -eq 0
done

if command -v mkfs.ext4 >/dev/null && command -v debugfs >/dev/null; then
        truncate -s 32M rw.img
        mkfs.ext4 -q -b 4096 -F rw.img
        cp rw.img ro.img
        cp rw.img before.img
        steps=module:virtio_pmem,module:nd_pmem,run:mount+-t+ext4+-o+dax+/dev/pmem0+/mnt,run:cp+/bin/busybox+/mnt/busybox
        steps=$steps,run:/mnt/busybox+sync,run:cp+/mnt/busybox+/tmp/copy,run:cmp+/tmp/copy+/bin/busybox
        boot pmem "$steps,run:dd+if=/dev/urandom+of=/dev/pmem1+bs=4096+count=64+conv=fsync,run:umount+/mnt,poweroff" \
                --pmem rw.img --pmem-device ro.img
        check "a guest with persistent memory powers off" test $? -eq 0
        check "no step of it failed" test "$(grep -c 'step .*: ok' pmem)" -eq 9
        grep 'step .*: failed' pmem
        debugfs -R "dump busybox from_guest" rw.img 2>debugfs.log
        check "what the guest wrote is in the host's file" grep -q BusyBox from_guest
        check "a read-only file is as it was" cmp ro.img before.img
        truncate -s 33M odd.img
        check "a writable file of odd size is refused by name" refuses "--pmem: odd.img" --pmem odd.img
else
        echo "[  SKIPPED ] test_options: no e2fsprogs"
fi
[ $failed -eq 0 ]
