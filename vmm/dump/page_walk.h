/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the kernel half of a 4-level address space maps to RAM, for tools that know virtual addresses only. The tables
 * are the guest's: they may loop or lie, so what is read of them is bounded.
 */

#include <stdbool.h>

#include "vmm/hv/state.h"
#include "vmm/mem/guest_mem.h"

#define PAGE_WALK_TABLES_MAX 65536u /* read in one walk */
#define PAGE_WALK_RANGES_MAX 32768u

typedef struct MappedRange {
        uint64_t gva, len;
        gpa_t gpa; /* all of it is RAM */
} MappedRange;

typedef struct PageWalk {
        MappedRange *ranges; /* owned; ascending by gva */
        size_t n;
        bool cut; /* a limit was met: some ranges are missing */
} PageWalk;

int page_walk(const GuestMem *mem, const VcpuSystemRegisters *cpu, PageWalk *ret);
void page_walk_deinit(PageWalk *walk);
