/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The typed form of what options say of guest memory beyond its size. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"

#define VMM_FILE_MAPPINGS_MAX 8u
#define VMM_HOST_NODES_MAX 64u

/* --file-backed-mapping: a part of a file at an address of the guest. */
typedef struct VmmFileMapping {
        char *path; /* owned */
        uint64_t address, size, offset;
        bool writable; /* and what is written goes to the file */
        bool sync;     /* the file is opened with O_SYNC */
        bool align;    /* to whole pages, outwards */
        bool ram;      /* a part of RAM, instead of the RAM that would be there */
} VmmFileMapping;

typedef struct VmmMemory {
        unsigned huge_page_mib; /* 2 or 1024: RAM is in such pages of hugetlbfs; 0: it is not */
        bool prefault;          /* all of RAM is present before the guest runs */
        uint64_t host_nodes;    /* a bit for each NUMA node that RAM may be on; 0: any */
        VmmFileMapping mappings[VMM_FILE_MAPPINGS_MAX];
        size_t n_mappings;
        char *pstore_path; /* owned, optional: the file with the guest's last words */
        uint64_t pstore_size;
} VmmMemory;

void vmm_memory_deinit(VmmMemory *memory);
int vmm_memory_validate(const VmmMemory *memory, uint64_t ram_bytes, TextError *reterr);
bool vmm_memory_has_ram_files(const VmmMemory *memory);
