# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2016
# The VMM's sandbox around a stock guest: sourced by the integration test (software processor) and by the system test (KVM),
# behind control.sh, which has what is used here. That devices work under the filters is what all the other tests of the
# VMM show, for they run it with its sandbox.

# of_vmm FILE KEY: a line of /proc/PID/FILE of the VMM, which is timeout's child
of_vmm() {
        local pid
        read -r pid _ <"/proc/$vm/task/$vm/children"
        sed -n "s/^$2:*[[:space:]][[:space:]]*//p" "/proc/$pid/$1"
}

# namespaces_of PID: how many of its namespaces are not ours
namespaces_of() {
        local kind n=0
        for kind in user mnt ipc net; do
                [ "$(readlink "/proc/$1/ns/$kind")" = "$(readlink "/proc/self/ns/$kind")" ] || n=$((n + 1))
        done
        echo $n
}

scenario_sandbox() {
        local pid task comm
        truncate -s 8M sandbox.img
        mkdir -p sandbox.d
        exec 9</etc/hostname # which the VMM inherits
        ulimit -S -c 0
        vm_begin sandbox hang --block sandbox.img --vsock cid=9,socket-dir=sandbox.d
        exec 9<&-
        vm_says sandbox 'init reached'
        read -r pid _ <"/proc/$vm/task/$vm/children"
        same "the VMM has no capability" "0000000000000000 0000000000000000 0000000000000000 0000000000000000" \
                "$(of_vmm status CapEff) $(of_vmm status CapPrm) $(of_vmm status CapBnd) $(of_vmm status CapAmb)"
        same "and no way to new ones" 1 "$(of_vmm status NoNewPrivs)"
        # The kernel's own, for io_uring, come and go.
        for task in "/proc/$pid/task/"*; do
                comm=$(cat "$task/comm" 2>task.log) || continue
                case $comm in iou-*) continue ;; esac
                same "thread $comm has a filter" 2 "$(sed -n 's/^Seccomp:[[:space:]]*//p' "$task/status")"
        done
        same "it has namespaces of its own" 4 "$(namespaces_of "$pid")"
        same "whose root is empty" proc "$(ls "/proc/$pid/root/")"
        same "and read-only" "sandbox / tmpfs ro" "$(sed -n 's/^\(sandbox [^,]*\),.*/\1/p' "/proc/$pid/mounts")"
        same "a descriptor that no option names is closed" "" "$(readlink "/proc/$pid/fd/9" | grep hostname)"
        same "it leaves no core dump" "0 0" "$(of_vmm limits 'Max core file size' | awk '{ print $1, $1 }')"
        done_with "a disk can be plugged in, as a descriptor" sandbox disk add sandbox.img,lock=false
        if ask sandbox disk add sandbox.img,lock=false,direct=true || ! grep -q "cannot open the image a second" sandbox.log; then
                fail "direct access to it is refused with its reason"
        else pass "direct access to it is refused with its reason"; fi
        done_with "it can be stopped" sandbox stop
        ends_with "and ends as without a sandbox" 0
        same "its sockets are gone" "" "$(ls sandbox.sock sandbox.d/vsock 2>ls.log)"
        same "nothing was missing" "" "$(grep -E 'seccomp|sandbox:' sandbox.log)"
}

# What a service or container around us forbids is done without.
scenario_without() {
        local pid
        vm_begin plain poweroff
        ends_with "a guest powers off in the sandbox" 0
        exec 9</etc/hostname
        vm_begin outside hang --disable-sandbox
        exec 9<&-
        vm_says outside 'init reached'
        read -r pid _ <"/proc/$vm/task/$vm/children"
        same "outside of it there is no filter, and what was inherited stays open" "0 /etc/hostname 0" \
                "$(of_vmm status Seccomp) $(readlink "/proc/$pid/fd/9") $(namespaces_of "$pid")"
        done_with "and it is stopped the same way" outside stop
        ends_with "and ends the same way" 0
        # In a user namespace that may have no more of any kind; the limits are its own.
        unshare --user --map-root-user bash -c '
                for kind in user mnt ipc net; do echo 0 >/proc/sys/user/max_${kind}_namespaces; done
                exec "$@"' limited "$vmm" --extended-status run --hypervisor soft --mem 64 --socket limited.sock --suspended \
                "$guest/tiny.elf" >limited.console 2>limited.log &
        vm=$!
        vm_answers limited
        done_with "without any namespace it runs as well" limited stop
        ends_with "and ends well" 0
        same "and tells once what it could not have" 1 "$(grep -c 'no namespace of its own.*user, mount, IPC, network' limited.log)"
}

# A call that no filter allows, put into a VMM by a debugger: it kills, or is logged and done, as was asked for.
scenario_forbidden() {
        local pid option parent
        command -v gdb >gdb.path || { skip "a call that is not allowed" "no gdb"; return; }
        for option in "" --seccomp-log-failures; do
                # shellcheck disable=SC2086 # none or one
                timeout 600 "$vmm" --extended-status run --hypervisor "$hypervisor" --mem 64 --socket forbidden.sock --suspended $option \
                        "$guest/tiny.elf" >forbidden.console 2>forbidden.log &
                vm=$!
                vm_answers forbidden
                read -r pid _ <"/proc/$vm/task/$vm/children"
                parent=$(timeout 240 gdb -nx -batch -ex 'set sysroot /' -p "$pid" -ex 'print (long) syscall(110)' 2>gdb.log |
                        sed -n 's/^\$1 = //p')
                if [ -z "$option" ]; then
                        ends_with "getppid(), which no filter allows, is the end of the VMM" 159
                        same "which names it" 1 "$(grep -c 'seccomp: thread .* may not call getppid (110)' forbidden.log)"
                        continue
                fi
                same "with $option it is done" "$vm" "$parent"
                [ "$hypervisor" = soft ] || # where the kernel's log is this host's
                        same "and logged" 1 "$(dmesg | grep -c "type=1326 .* pid=$pid .* sig=0 .* syscall=110 ")"
                done_with "the VMM goes on" forbidden stop
                ends_with "and ends well" 0
        done
}
