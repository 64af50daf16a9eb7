#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The host itself: what the other tests build on.
. "$(dirname "$0")/lib.sh"

same "systemd is the first process" systemd "$(cat /proc/1/comm)"
check "/dev/kvm is there" test -c /dev/kvm
check "the system bus answers" busctl --system call org.freedesktop.DBus / org.freedesktop.DBus ListNames
