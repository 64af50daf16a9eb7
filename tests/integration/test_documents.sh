#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests that docs/ANDROID.md names are there.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0

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

[ "$(named | wc -l)" -gt 100 ] && passed=$((passed + 1)) && echo "[       OK ] the table of Android's behaviours names its tests"
[ $passed -eq 1 ] || { failed=1 && echo "[  FAILED  ] the_table_of_Android's_behaviours_names_its_tests"; }
gone=$(missing)
if [ -z "$gone" ]; then
        echo "[       OK ] and they are there"
else
        echo "[  FAILED  ] and_they_are_there"
        echo "$gone"
        failed=1
fi
[ $failed -eq 0 ]
