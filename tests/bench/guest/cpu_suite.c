/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a processor is asked to do, in ten small kernels of fixed work. Runs as a program, or as the init of a guest that
 * then powers off. One line a kernel: `cpu NAME NANOSECONDS CHECKSUM`; the best of three rounds, and the checksum shows
 * that every processor computed the same.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 3
#define PAGE_BYTES 4096u

static uint64_t now_nsec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

static uint64_t xorshift(uint64_t x) {
        x ^= x << 13;
        x ^= x >> 7;
        return x ^ x << 17;
}

static uint64_t kernel_alu(void) {
        uint64_t x = 88172645463325252u;

        for (unsigned i = 0; i < 20000000; i++)
                x = xorshift(x);
        return x;
}

static int compare(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return x < y ? -1 : x > y;
}

static uint64_t kernel_sort(void) {
        static uint32_t values[200000];
        uint64_t x = 1, sum = 0;

        for (size_t i = 0; i < 200000; i++)
                values[i] = (uint32_t) (x = xorshift(x));
        qsort(values, 200000, sizeof(values[0]), compare);
        for (size_t i = 0; i < 200000; i++)
                sum = sum * 31 + values[i];
        return sum;
}

static uint32_t rotate(uint32_t v, unsigned n) {
        return v >> n | v << (32 - n);
}

/* The compression function of SHA-256 (FIPS 180-4 section 6.2.2), round constants made on the fly. */
static uint64_t kernel_sha256(void) {
        uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
        uint32_t w[64];

        for (unsigned block = 0; block < 40000; block++) {
                uint32_t s[8];

                for (unsigned i = 0; i < 16; i++)
                        w[i] = block * 16 + i;
                for (unsigned i = 16; i < 64; i++) {
                        uint32_t a = w[i - 15], b = w[i - 2];

                        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
                               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
                }
                memcpy(s, h, sizeof(s));
                for (unsigned i = 0; i < 64; i++) {
                        uint32_t e = s[4], a = s[0], t1, t2;

                        t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                             ((e & s[5]) ^ (~e & s[6])) + 0x428a2f98u * (i + 1) + w[i];
                        t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                             ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
                        memmove(s + 1, s, 7 * sizeof(s[0]));
                        s[4] += t1;
                        s[0] = t1 + t2;
                }
                for (unsigned i = 0; i < 8; i++)
                        h[i] += s[i];
        }
        return (uint64_t) h[0] << 32 | h[7];
}

static uint64_t kernel_fp(void) {
        enum { N = 160 };
        static double a[N][N], b[N][N], c[N][N];
        uint64_t bits;

        for (unsigned i = 0; i < N; i++)
                for (unsigned j = 0; j < N; j++) {
                        a[i][j] = i + j / 7.0;
                        b[i][j] = i - j / 3.0;
                        c[i][j] = 0;
                }
        for (unsigned i = 0; i < N; i++)
                for (unsigned j = 0; j < N; j++)
                        for (unsigned k = 0; k < N; k++)
                                c[i][j] += a[i][k] * b[k][j];
        memcpy(&bits, &c[N / 2][N / 3], sizeof(bits));
        return bits;
}

static uint64_t kernel_x87(void) {
        long double sum = 0;
        double result;
        uint64_t bits;

        for (unsigned i = 1; i < 2000000; i++)
                sum += 1.0L / i;
        result = (double) sum;
        memcpy(&bits, &result, sizeof(bits));
        return bits;
}

static uint64_t kernel_memcpy(void) {
        static uint8_t from[1 << 20], to[1 << 20];

        for (unsigned i = 0; i < 200; i++) {
                from[i] = (uint8_t) i;
                memcpy(to, from, sizeof(to));
                __asm__ volatile("" : : "r"(to) : "memory");
        }
        return to[100];
}

__attribute__((noinline)) static uint64_t fibonacci(unsigned n) {
        __asm__ volatile(""); /* keeps the calls */
        return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t kernel_calls(void) {
        return fibonacci(31);
}

/* A little bytecode machine: one unpredictable indirect jump an operation. */
static uint64_t kernel_indirect(void) {
        static const void *const operations[] = {&&add, &&xor, &&shift, &&negate};
        uint64_t accumulator = 1, x = 7;
        unsigned left = 8000000;

#define NEXT_OPERATION                                                                             \
        do {                                                                                       \
                if (left-- == 0)                                                                   \
                        return accumulator;                                                        \
                x = x * 6364136223846793005u + 1442695040888963407u;                               \
                goto *operations[x >> 62];                                                         \
        } while (0)
        NEXT_OPERATION;
add:
        accumulator += x;
        NEXT_OPERATION;
        xor : accumulator ^= x;
        NEXT_OPERATION;
shift:
        accumulator = accumulator << 1 | accumulator >> 63;
        NEXT_OPERATION;
negate:
        accumulator = ~accumulator;
        NEXT_OPERATION;
}

static uint64_t kernel_syscall(void) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < 400000; i++)
                sum += syscall(SYS_getppid) >= 0;
        return sum;
}

static uint64_t kernel_pagefault(void) {
        uint64_t sum = 0;

        for (unsigned round = 0; round < 8; round++) {
                size_t bytes = 4096 * (size_t) PAGE_BYTES;
                uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                  -1, 0);

                if (p == MAP_FAILED)
                        return 0;
                for (size_t at = 0; at < bytes; at += PAGE_BYTES)
                        sum += ++p[at];
                (void) munmap(p, bytes);
        }
        return sum;
}

/* A token goes round between two processes. */
static uint64_t kernel_switch(void) {
        enum { TURNS = 10000 };
        int there[2], back[2];
        uint64_t sum = 0;
        char token = 1;
        pid_t child;

        if (pipe(there) < 0 || pipe(back) < 0)
                return 0;
        child = fork();
        if (child < 0)
                return 0;
        if (child == 0) {
                for (unsigned i = 0; i < TURNS; i++)
                        if (read(there[0], &token, 1) != 1 || write(back[1], &token, 1) != 1)
                                break;
                _exit(0);
        }
        for (unsigned i = 0; i < TURNS; i++)
                if (write(there[1], &token, 1) == 1 && read(back[0], &token, 1) == 1)
                        sum++;
        for (unsigned i = 0; i < 2; i++) {
                (void) close(there[i]);
                (void) close(back[i]);
        }
        (void) waitpid(child, NULL, 0);
        return sum;
}

static const struct {
        const char *name;
        uint64_t (*run)(void);
} kernels[] = {
        {"alu", kernel_alu},         {"sort", kernel_sort},
        {"sha256", kernel_sha256},   {"fp", kernel_fp},
        {"x87", kernel_x87},         {"memcpy", kernel_memcpy},
        {"calls", kernel_calls},     {"indirect", kernel_indirect},
        {"syscall", kernel_syscall}, {"pagefault", kernel_pagefault},
        {"switch", kernel_switch},
};

/* An init has no terminal until it makes itself one. */
static void open_console(void) {
        (void) mkdir("/dev", 0755);
        (void) mount("dev", "/dev", "devtmpfs", 0, NULL);
        for (int fd = 0; fd < 3; fd++)
                if (open("/dev/console", O_RDWR) < 0)
                        (void) reboot(RB_POWER_OFF);
}

int main(void) {
        if (getpid() == 1)
                open_console();
        for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
                uint64_t best = UINT64_MAX, checksum = 0;

                for (unsigned round = 0; round < ROUNDS; round++) {
                        uint64_t begin = now_nsec(), took;

                        checksum = kernels[k].run();
                        took = now_nsec() - begin;
                        best = took < best ? took : best;
                }
                (void) printf("cpu %s %llu %016llx\n", kernels[k].name, (unsigned long long) best,
                              (unsigned long long) checksum);
        }
        (void) printf("cpu done\n");
        (void) fflush(stdout);
        if (getpid() == 1)
                (void) reboot(RB_POWER_OFF);
        return 0;
}
