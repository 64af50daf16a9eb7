#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: lint.sh CACHE-DIR COMPILER-FLAGS...
# Format, layers, forbidden calls, headers that stand alone, clang-tidy: over every C file of the tree. What clang-tidy and
# the header check found clean is remembered by the hash of what the compiler saw, so a second run is quick.
set -u
export LC_ALL=C

# One file of the costly checks; run by xargs below.
if [ "${1:-}" = --one ]; then
        cache=$2 file=$3
        shift 3
        seen=$cache/$( (cat "$file" .clang-tidy && gcc -E "$@" -x c "$file") 2>/dev/null | sha256sum | cut -c1-40)
        [ -e "$seen" ] && exit 0
        log=$(mktemp)
        case $file in
        *.h)
                gcc -fsyntax-only "$@" -x c "$file" >"$log" 2>&1
                status=$?
                ;;
        *)
                # the analyser does not know that a failed cmocka assertion does not return
                case $file in
                tests/unit/* | tests/integration/* | tests/fake/*) checks='-clang-analyzer-core.*' ;;
                *) checks= ;;
                esac
                clang-tidy --quiet --checks="$checks" "$file" -- "$@" >"$log" 2>/dev/null
                status=$?
                ;;
        esac
        if [ $status -eq 0 ]; then
                : >"$seen"
        else
                echo "lint: $file:"
                # the analyser's path to a finding is long; the finding itself is enough to find it again
                grep -A 2 -E ': (fatal )?error:' "$log" || cat "$log"
        fi
        rm -f "$log"
        exit $status
fi

cache=${1:?usage: lint.sh CACHE-DIR COMPILER-FLAGS...}
shift
mkdir -p "$cache"
cd "$(dirname "$0")/../.." || exit 1
files=$(find base config crosvm_launcher dbus service vmm tests -name '*.[ch]' | sort)
passed=0 failed=0

judge() { # NAME STATUS
        if [ "$2" -eq 0 ]; then
                passed=$((passed + 1))
                echo "lint: $1: clean"
        else
                failed=$((failed + 1))
                echo "lint: $1: FAILED"
        fi
}

# shellcheck disable=SC2086 # our file names have no spaces
{
        clang-format --dry-run --Werror $files
        judge format $?
        tests/lint/check_layers.py --self-test && tests/lint/check_layers.py $files
        judge layers $?
        tests/lint/check_calls.py --self-test && tests/lint/check_calls.py $files
        judge calls $?
        echo $files | tr ' ' '\n' | grep '\.h$' | xargs -P "$(nproc)" -I{} "$0" --one "$cache" {} "$@"
        judge headers $?
        echo $files | tr ' ' '\n' | grep '\.c$' | xargs -P "$(nproc)" -I{} "$0" --one "$cache" {} "$@"
        judge clang-tidy $?
        # shellcheck disable=SC2046
        shellcheck -S warning -e SC2187,SC1007,SC2034,SC2010,SC2320,SC2154,SC1090,SC1091 $(find tests .ci -name '*.sh' -o -path .ci/run -o -path tests/guest/init)
        judge shell $?
}
echo "lint: $passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
