#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs in the guest, once systemd has reached multi-user: the steps that the kernel command line names (`soak=STEP,STEP`,
# a step may be `NAME:ARGUMENT`), each /soak/step-NAME.sh. A line `ok NAME` or `not ok NAME` each on the console, what a
# failed step wrote before it; then the guest powers off.
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
cd /soak || exit 1
steps=$(sed -n 's/.*soak=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' ')
echo "soak: multi-user reached after $(cut -d' ' -f1 /proc/uptime) s"
systemctl --failed --no-legend --plain | sed 's/^/soak: failed unit /'
for step in $steps; do
        name=${step%%:*} argument=
        case $step in *:*) argument=${step#*:} ;; esac
        begin=$(cut -d. -f1 /proc/uptime)
        # The console shows what it writes while it does: a run that is cut off still tells how far it came.
        { ./step-"$name".sh "$argument"; echo $? >/soak/status; } 2>&1 | tee /soak/log | sed -u 's/^/| /'
        status=$(cat /soak/status)
        # A step may report parts of its own.
        grep -E '^(ok|not ok|skip) ' /soak/log
        if [ "$status" -eq 0 ]; then
                echo "ok $step ($(($(cut -d. -f1 /proc/uptime) - begin)) s)"
        else
                echo "not ok $step (status $status)"
        fi
done
dmesg --level=emerg,alert,crit,err,warn 2>/dev/null |
        grep -E 'BUG|Oops|WARNING|lockup|rcu_.*stall|segfault|general protection|trap ' | sed 's/^/soak: kernel says /'
echo "soak: done"
systemctl poweroff --no-block
