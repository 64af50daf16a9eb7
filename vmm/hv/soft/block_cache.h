/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where one processor's blocks lie, and how they are found by physical address. See block_cache.c. */

#include "vmm/hv/soft/cpu.h"

#define STRADDLERS 64u

/* An instruction that lies in two pages; good as long as both are as they were. */
typedef struct Straddler {
        uint64_t phys, phys2;
        const _Atomic uint32_t *version_at, *version_at2; /* NULL = none */
        uint32_t version, version2;
        uint8_t block[sizeof(Block) + 2 * sizeof(Uop)] __attribute__((aligned(16)));
} Straddler;

#define YOUNG_SEGMENTS_MAX 8u

struct BlockCache {
        /* Young blocks: segments that are filled in turn. */
        uint8_t *young;
        size_t segment_bytes;
        unsigned n_segments, segment;    /* the one that is being filled */
        size_t fill[YOUNG_SEGMENTS_MAX]; /* bytes used of each */
        /* Blocks to keep: those that are translated. */
        uint8_t *kept;
        size_t kept_used, kept_bytes;
        /* By physical address. */
        Block **hash;
        unsigned n_buckets, n_hashed;
        Straddler straddlers[STRADDLERS];
};

bool block_cache_make_room(struct BlockCache *cache, Block **ret);
void block_cache_add(struct BlockCache *cache, Block *b);
Block *block_cache_find(struct BlockCache *cache, uint64_t phys, unsigned mode);
Block *block_cache_keep(struct BlockCache *cache, Block *b);
void block_cache_clear(struct BlockCache *cache);
