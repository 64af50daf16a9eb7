/* SPDX-License-Identifier: Apache-2.0 */

/* What a program without a library needs: words on COM1, and numbers that are the same each time. */

#include "tests/guest/hostile/hostile.h"

static uint64_t state;

void *fill(void *to, int byte, unsigned long n) {
        void *p = to;

        __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(byte) : "memory");
        return to;
}

void *memset(void *to, int byte, unsigned long n) { /* the compiler may call it */
        return fill(to, byte, n);
}

void put(char c) {
        while (!(in8(COM1 + 5) & 0x20))
                ;
        out8(COM1, (uint8_t) c);
}

void print(const char *text) {
        while (*text)
                put(*text++);
}

void print_number(uint64_t v) {
        if (v >= 10)
                print_number(v / 10);
        put((char) ('0' + v % 10));
}

__attribute__((noreturn)) void fail(const struct device *dev, const char *what) {
        print("hostile: FAILED seed ");
        print_number(seed);
        if (dev) {
                print(" virtio type ");
                print_number(dev->type);
        }
        print(": ");
        print(what);
        put('\n');
        out8(0x64, 0xfe);
        for (;;)
                __asm__ volatile("hlt");
}

void seed_random(uint64_t value) {
        state = value * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t any(void) { /* xorshift64 */
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
}

unsigned below(unsigned n) {
        return (unsigned) ((any() >> 16) % n);
}

bool one_in(unsigned n) {
        return below(n) == 0;
}

/* A number that somebody forgot to think of. */
uint64_t odd_number(void) {
        static const uint64_t numbers[] = {
                0,          1,          2,          3,          7,          8,          15,
                16,         255,        256,        257,        511,        512,        4095,
                4096,       32767,      32768,      65535,      65536,      0x7fffffff, 0x80000000,
                0xfffffff0, 0xffffffff, 1ull << 32, 1ull << 52, 1ull << 63, ~0ull,      ~15ull};

        return one_in(3) ? any() : PICK(numbers);
}

/* Somewhere for a ring or a buffer, with nothing of ours in the way of what a device may write there. */
uint64_t odd_address(void) {
        static const uint64_t places[] = {
                RAM_END - 16, RAM_END - 4096, RAM_END - 1,   RAM_END,    0xfec00000,  0xfee00000,
                0xe0000000,   BARS,           BARS + 0x4000, 0xfffffff0, 0xffffffff,  1ull << 32,
                1ull << 46,   1ull << 63,     ~0ull,         ~0ull - 15, ~0ull << 12, 0xc0000000};

        switch (below(4)) {
        case 0:
                return PICK(places);
        case 1:
                return ARENA + below(ARENA_BYTES); /* misaligned, overlapping the rings */
        case 2:
                return any() | 1ull << 40; /* no RAM up there */
        default:
                return BUFFERS + below(0x100000) * 1ull;
        }
}
