#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same kernel as an ELF file.
. "$(dirname "$0")/lib.sh"

if [ ! -e "$guest/vmlinux" ]; then
        skip "an ELF vmlinux boots" "the kernel package's payload is not LZ4"
        exit 0
fi
run_guest elf cpus,memory,poweroff --kernel "$guest/vmlinux"
expect_death "an ELF vmlinux boots and powers off" elf SHUTDOWN 0
