#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The compiler compiles, optimised and not, for 64 and 32 bits, and what it made runs and computes the same.
set -e
dir=$(mktemp -d)
cat >"$dir/sum.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
static int by_value(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
        return x < y ? -1 : x > y;
}
int main(void) {
        enum { N = 20000 };
        static uint32_t v[N];
        uint64_t state = 88172645463325252ull, mix = 0;
        double sum = 0;
        char text[64];
        for (int i = 0; i < N; i++) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                v[i] = (uint32_t) (state >> 16);
                sum += sqrt((double) (v[i] % 1000000)) / (1 + i);
        }
        qsort(v, N, sizeof(v[0]), by_value);
        for (int i = 0; i < N; i++)
                mix = (mix ^ v[i]) * 1099511628211ull + mix / 7 + mix % 11;
        snprintf(text, sizeof(text), "%016llx %.9f %zu", (unsigned long long) mix, sum, strlen("soak"));
        puts(text);
        return 0;
}
C
for bits in 64 32; do
        for level in 0 1 2 3 s; do
                gcc -m$bits -O$level -o "$dir/sum" "$dir/sum.c" -lm
                "$dir/sum" | tee -a "$dir/results"
        done
done
[ "$(sort -u "$dir/results" | wc -l)" -eq 1 ] # whatever the optimisation and the width
[ "$(sort -u "$dir/results")" = "$(cat /soak/gcc.expected)" ]
rm -rf "$dir"
