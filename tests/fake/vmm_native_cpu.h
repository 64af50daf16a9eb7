/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One user-mode instruction on this machine's own processor, from a given state to whatever it traps with. */

#include <stdint.h>

typedef struct CpuImage {
        uint64_t r[16]; /* in the order of their numbers: rax rcx rdx rbx rsp rbp rsi rdi r8.. */
        uint64_t rip;
        uint64_t flags;
        uint8_t fx[512] __attribute__((aligned(64))); /* FXSAVE's */
        unsigned vector;
        uint64_t code, cr2; /* of the exception; cr2 of page faults only */
} CpuImage;

int native_cpu_open(void);
void native_cpu_close(void);
void native_cpu_run(CpuImage *image);
