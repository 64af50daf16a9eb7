#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: selftests.sh SELFTESTS OUTDIR
# Builds Linux's selftests/x86 from SELFTESTS (tools/testing/selftests of a kernel's source) into OUTDIR, static, each for
# 64 and 32 bits where its Makefile has both. Runs inside the root disk's tree, where the compiler for both is.
set -eu
from=$1/x86 to=$2
mkdir -p "$to"

# The names and what they need are those of the Makefile's variables of the same names.
list() {
        awk -v name="$1" '$1 == name && $2 == ":=" { on = 1; sub(/^[^=]*=/, "") }
                          on { more = sub(/\\$/, ""); printf "%s ", $0; if (!more) exit }' "$from/Makefile"
}
both=$(list TARGETS_C_BOTHBITS) narrow="$(list TARGETS_C_32BIT_ONLY) $(list TARGETS_C_32BIT_NEEDED)"
wide="$(list TARGETS_C_64BIT_ONLY) $(list TARGETS_C_32BIT_NEEDED)"

build() { # NAME BITS
        flags="-O2 -g -std=gnu99 -pthread -w -no-pie -static -DCAN_BUILD_32 -DCAN_BUILD_64"
        more=
        case $1_$2 in
        sysret_ss_attrs_64) more=$from/thunks.S ;;
        ptrace_syscall_32) more=$from/raw_syscall_helper_32.S ;;
        test_syscall_vdso_32) more=$from/thunks_32.S ;;
        check_initial_reg_state_*) flags="$flags -Wl,-ereal_start" ;;
        esac
        # shellcheck disable=SC2086
        if ! gcc -m"$2" -o "$to/$1_$2" $flags "$from/$1.c" $more -lrt -ldl -lm 2>"$to/log"; then
                echo "$1_$2 cannot be built: $(grep -m 1 -i error "$to/log")" | tee -a "$to/not-built" >&2
        fi
        rm -f "$to/log"
}

for name in $both $wide; do build "$name" 64; done
for name in $both $narrow; do build "$name" 32; done
