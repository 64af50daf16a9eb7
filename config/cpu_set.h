/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A set of processors, written as Linux and crosvm write one: "0,2-3". */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/text_error.h"

#define CPU_SET_MAX                                                                                \
        1024u /* processors are 0..CPU_SET_MAX - 1; what the C library's cpu_set_t holds */

typedef struct CpuSet {
        uint64_t words[CPU_SET_MAX / 64];
} CpuSet;

int cpu_set_parse(const char *text, CpuSet *ret, TextError *reterr);
void cpu_set_append(const CpuSet *set, StrBuf *buf);
unsigned cpu_set_count(const CpuSet *set);
unsigned cpu_set_next(const CpuSet *set, unsigned from);

static inline bool cpu_set_has(const CpuSet *set, unsigned cpu) {
        return cpu < CPU_SET_MAX && (set->words[cpu / 64] >> cpu % 64 & 1);
}

/** cpu_set_put() - add @cpu, below CPU_SET_MAX */
static inline void cpu_set_put(CpuSet *set, unsigned cpu) {
        set->words[cpu / 64] |= UINT64_C(1) << cpu % 64;
}
