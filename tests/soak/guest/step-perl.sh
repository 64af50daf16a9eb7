#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: step-perl.sh [FILE+FILE...]
# perl's own tests of the language: numbers, strings, packing, formats, regular expressions. Left out is what wants more
# of perl's source tree than its tests (its keyword tables, its manifest, its test-only modules, its Unicode tables), a
# terminal, or a perl that is told to taint, and fails for that on any processor; and re/fold_grind, which tries all
# characters with all modifiers for hours.
cd /soak/perl/t || exit 1
tests=()
for test in base/*.t cmd/*.t opbasic/*.t op/*.t re/*.t uni/*.t; do
        case $test in
        op/coreamp.t | op/coresubs.t | op/goto_xs.t | op/readdir.t | op/signatures.t | op/stat.t | op/threads-dirh.t) ;;
        op/taint.t | op/utftaint.t | re/fold_grind*.t | re/substT.t | re/uniprops*.t) ;;
        *) tests+=("$test") ;;
        esac
done
[ -z "${1:-}" ] || IFS=+ read -ra tests <<<"$1"
# Watchdogs of the tests think of a processor that nobody else uses.
export PERL_TEST_TIME_OUT_FACTOR=20
prove -j4 -e perl "${tests[@]}"
