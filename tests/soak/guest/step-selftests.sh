#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: step-selftests.sh [NAME]
# Linux's selftests/x86, one after another, or one of them; a line each. Exit status 4 is kselftest's "does not apply".
cd /soak/x86 || exit 1
failed=0
for test in ${1:-*_64 *_32}; do
        timeout 300 "./$test" >/tmp/selftest 2>&1 </dev/null
        status=$?
        case $status in
        0)
                # Some say so in words only.
                if grep -q '^\[FAIL\]' /tmp/selftest; then
                        verdict='not ok'
                elif grep -q '\[SKIP\]' /tmp/selftest && ! grep -q '^\[OK\]' /tmp/selftest; then
                        verdict=skip
                else
                        verdict=ok
                fi
                ;;
        4) verdict=skip ;;
        1 | 255)
                # No XSAVE, or one without tiles, and so no AMX: the test takes that for a failure.
                verdict='not ok'
                ! grep -qE 'no CPU xsave support|invalid tile data size/offset: 0/0' /tmp/selftest || verdict=skip
                ;;
        *) verdict='not ok' ;;
        esac
        echo "$verdict selftests/x86 $test$(sed -n 's/.*\[SKIP\]/:/p' /tmp/selftest | head -n 1)"
        if [ "$verdict" = 'not ok' ]; then
                failed=1
                echo "status $status"
                tail -n 30 /tmp/selftest
        fi
done
exit $failed
