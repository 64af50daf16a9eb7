#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests that docs/ANDROID.md names are there.
# shellcheck source=tests/integration/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$here/../.." || exit 1

# The last column of each row of a table: `FILE [`NAME`, ...][; FILE ...]`, one line a name, as "FILE NAME".
named() {
        sed -n 's/^|.*| *\([a-z_]*\/.*\) |$/\1/p' docs/ANDROID.md | sed 's/; /\n/g' | while read -r file names; do
                echo "$file"
                grep -o '`[^`]*`' <<<"$names" | tr -d '`' | sed "s|^|$file |"
        done
}
path_of() { # FILE, as the document has it
        case $1 in
        testbed/*) echo "tests/testbed/system/${1#testbed/}" ;;
        *.sh) echo "tests/$1" ;;
        *) echo "tests/$1.c" ;;
        esac
}
missing() {
        named | while read -r file name; do
                if [ ! -e "$(path_of "$file")" ]; then
                        echo "$file: no such file"
                elif [ -n "$name" ] && ! grep -qF -- "$name" "$(path_of "$file")"; then
                        echo "$file: no test '$name'"
                fi
        done
}

check "the table of Android's behaviours names its tests" test "$(named | wc -l)" -gt 100
same "and they are there" "" "$(missing)"
[ $failed -eq 0 ]
