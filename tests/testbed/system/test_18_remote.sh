#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# vivctl on terminals, and with the service of another host by ssh, which here is this one by a real sshd.
. "$(dirname "$0")/lib.sh"

command -v sshd >/dev/null || PATH=$PATH:/usr/sbin
export HOME=/root TERM=xterm
mkdir -p /run/sshd /root/.ssh
chmod 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f key
ssh-keygen -q -t ed25519 -N '' -f host_key
cp key.pub /root/.ssh/authorized_keys
printf 'Host far\n HostName 127.0.0.1\n Port 2222\n User root\n IdentityFile %s\n UserKnownHostsFile %s\n LogLevel ERROR\n' \
        "$work/key" "$work/known" >/root/.ssh/config
echo "[127.0.0.1]:2222 $(cut -d' ' -f1,2 host_key.pub)" >known
ip link set lo up
"$(command -v sshd)" -D -e -p 2222 -h "$work/host_key" -o ListenAddress=127.0.0.1 -o PidFile=none -o UsePAM=no 2>sshd.log &
sshd=$!
check "ssh works" timeout 60 sh -c 'until ssh far true; do sleep 0.2; done'

same "vivctl -H lists what is there" "$(vivctl list --json=short)" "$(vivctl -H far list --json=short)"
check "it passes no files, and says what to do" sh -c "! vivctl -H far run --kernel '$guest/tiny.elf' 2>run.txt && grep -q 'Run vivctl on the host' run.txt"
vivctl stop nobody 2>refused_here.txt
here=$?
vivctl -H far stop nobody 2>refused.txt
there=$?
same "so has an error" $here $there
check "and its words" grep -q nobody refused.txt

# on_terminal NAME COMMAND: on a terminal of its own, keys from the pipe NAME.keys, what it shows in NAME.screen; then its exit
# status and whether the terminal is as it was in NAME.end
on_terminal() {
        mkfifo "$1.keys"
        : >"$1.screen"
        script -qfc "stty cols 100 rows 30; stty -g >$1.before; $2; echo \$? >$1.status; stty -g >$1.after" "$1.screen" \
                <"$1.keys" >"$1.out" 2>&1 &
        terminal=$!
        exec 8>"$1.keys"
}
leave() { # NAME SENTENCE: once the command has ended
        exec 8>&-
        wait $terminal
        check "$2" cmp "$1.before" "$1.after"
}
check "a VM runs whose guest reads" timeout 60 vivctl run --detach --name chat --kernel "$guest/vmlinuz" --initrd "$guest/initrd.img" \
        --mem 256 --params "console=hvc0 quiet panic=-1 cryptomgr.notests=1 vivarium.test=echo:first,echo:second,poweroff"

on_terminal top "vivctl top"
check "vivctl top shows it on a terminal" await_text top.screen 'chat'
printf q >&8
leave top "q leaves the terminal as it was"
same "with success" 0 "$(cat top.status)"

on_terminal far "vivctl -H far console chat"
check "vivctl -H has the console of a VM there" await_text far.screen 'vivarium-guest: reading' 120
printf 'one\r' >&8
check "what is typed arrives" await_text far.screen 'first one'
printf '\035\035\035' >&8
leave far "three times Ctrl-] leave the terminal as it was"
same "with success, too" 0 "$(cat far.status)"
same "the VM runs on" running "$(vm_get chat State)"

on_terminal again "vivctl console chat"
check "the next viewer sees what was said before" await_text again.screen 'first one'
printf 'two\r' >&8
check "and what is said now" await_text again.screen 'second.*two'
wait $terminal
leave again "the end of the VM leaves the terminal as it was"
same "with the status that tells of the end" 0 "$(cat again.status)"

on_terminal top_far "vivctl -H far top"
check "vivctl top has a terminal there" await_text top_far.screen 'VMs,'
printf q >&8
leave top_far "which it leaves as it was"
kill $sshd
