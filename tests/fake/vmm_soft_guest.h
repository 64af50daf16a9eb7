/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The software processor with its insides in reach: mapped pages, a chosen mode, instructions run one block at a time. */

#include <stdint.h>

#include "tests/fake/vmm_native_cpu.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/cpu.h"

#define SOFT_PAGE_TABLES 0x10000u /* where soft_guest_map() takes its tables from, upward */
#define SOFT_PAGE_TABLES_END 0x40000u
#define SOFT_PAGES 0x40000u /* the test's own memory, to the end of the guest's 2 MiB */

#define SOFT_MAP_WRITE 0x2u
#define SOFT_MAP_USER 0x4u
#define SOFT_MAP_GLOBAL 0x100u
#define SOFT_MAP_NX 0x80000000u

typedef struct SoftGuest {
        TinyGuest *tiny;
        SoftCpu *cpu; /* borrowed from @tiny */
        uint64_t tables_used;
} SoftGuest;

int soft_guest_new(unsigned n_vcpus, SoftGuest *ret);
int soft_guest_new_with(const HvConfig *config, SoftGuest *ret);
void soft_guest_deinit(SoftGuest *guest);
void soft_guest_map(SoftGuest *guest, uint64_t va, uint64_t gpa, unsigned flags);
void soft_guest_long_mode(SoftGuest *guest, unsigned cpl);
uint8_t *soft_guest_memory(SoftGuest *guest, uint64_t gpa);
void soft_guest_run(SoftGuest *guest, CpuImage *image);
int soft_guest_blocks(SoftGuest *guest, unsigned n);
