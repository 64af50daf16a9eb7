/* SPDX-License-Identifier: Apache-2.0 */

/*
 *   splitlock N MSEC
 *
 * Makes N locked operations across two cache lines. Exits with 0 when all were done and took MSEC or longer, by the clock of
 * the guest that it runs in.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LINE 64
#define SPLIT (LINE - 4)

static uint64_t now_msec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

int main(int argc, char **argv) {
        static uint8_t lines[2 * LINE] __attribute__((aligned(LINE)));
        const uint64_t begin = now_msec();
        uint64_t n, took, *split = (uint64_t *) (void *) (lines + SPLIT);

        if (argc != 3)
                return 2;
        n = strtoull(argv[1], NULL, 10);
        for (uint64_t i = 0; i < n; i++)
                __asm__ volatile("lock; incq %0" : "+m"(*split) : : "cc", "memory");
        took = now_msec() - begin;
        printf("splitlock: %" PRIu64 " in %" PRIu64 " ms\n", *split, took);
        return *split == n && took >= strtoull(argv[2], NULL, 10) ? 0 : 1;
}
