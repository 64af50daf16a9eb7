/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The E820 memory map: what of the guest's physical address space is RAM, and what it must keep away from. */

#include <stddef.h>
#include <stdint.h>

#include "vmm/mem/guest_mem.h"

#define E820_ENTRIES_MAX 16u

typedef enum E820Type {
        E820_RAM = 1,
        E820_RESERVED = 2,
} E820Type;

typedef struct E820Entry {
        gpa_t gpa;
        uint64_t size;
        E820Type type;
} E820Entry;

size_t e820_build(const GuestMem *mem, E820Entry ret[static E820_ENTRIES_MAX]);
