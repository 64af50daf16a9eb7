#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: step-python.sh [TEST+TEST...]
# Python's own tests of numbers, strings, hashes and compression.
cd /tmp || exit 1
tests="test_float test_int test_math test_cmath test_complex test_decimal test_fractions test_numeric_tower
       test_statistics test_long test_random test_pow test_bool test_strtod test_struct test_array test_string
       test_unicode test_unicodedata test_ucn test_bytes test_format test_fstring test_textwrap test_re test_codecs
       test_binascii test_hash test_hashlib test_zlib test_bz2 test_lzma test_json test_pickle test_marshal test_sort
       test_heapq test_bisect test_set test_dict test_range test_slice test_list test_tuple test_builtin test_binop
       test_operator test_memoryview test_ctypes test_thread"
[ -z "${1:-}" ] || tests=$(echo "$1" | tr + ' ')
# shellcheck disable=SC2086
python3 -m test --timeout 7200 -j "$(nproc)" $tests
