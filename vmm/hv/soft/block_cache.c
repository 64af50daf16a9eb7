/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where decoded blocks lie. Most code runs a few times and never again, a kernel's start above all: what was decoded
 * lies in young segments that are filled in turn, and what did not run again in the oldest makes room for what comes next.
 * A block that is worth translating moves to where it stays until all are forgotten. So memory is used for what runs often, and only as much
 * as there is of that.
 */
#include "vmm/hv/soft/block_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define YOUNG_SEGMENT_BYTES (384u * 1024u)
#define YOUNG_SEGMENTS 8u      /* of a processor that does most of the work */
#define YOUNG_SEGMENTS_MANY 5u /* of one of more than two, which share it */
#define YOUNG_BYTES (YOUNG_SEGMENTS * YOUNG_SEGMENT_BYTES)
#define KEPT_BYTES (24u * 1024u * 1024u)
#define BUCKETS_MIN 4096u
#define BUCKETS_MAX 65536u /* as many as the hash can tell apart */
#define BUCKET_BYTES 8u
#define HASH_BYTES (BUCKETS_MAX * BUCKET_BYTES)
#define BLOCK_ALIGN 16u

static size_t aligned(size_t bytes) {
        return (bytes + BLOCK_ALIGN - 1) & ~(size_t) (BLOCK_ALIGN - 1);
}

static size_t size_of(unsigned n_slots, unsigned n_links) {
        return aligned(sizeof(Block) + n_slots * sizeof(Uop) + n_links * sizeof(BlockLink));
}

_Static_assert(sizeof(void *) == BUCKET_BYTES, "a bucket is a pointer");

/* ---- making and freeing ---- */

static void *reserve(size_t size) {
        void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        return at == MAP_FAILED ? NULL : at;
}

static void release(void *at, size_t size) {
        if (at)
                (void) munmap(at, size);
}

/** block_cache_new() - an empty cache for one processor of @n_vcpus. Return: 0 or -ENOMEM. */
int block_cache_new(unsigned n_vcpus, struct BlockCache **ret) {
        struct BlockCache *cache = calloc(1, sizeof(*cache));

        if (!cache)
                return -ENOMEM;
        cache->young = reserve(YOUNG_BYTES);
        cache->kept = reserve(KEPT_BYTES);
        cache->hash = reserve(HASH_BYTES);
        if (!cache->young || !cache->kept || !cache->hash) {
                block_cache_free(cache);
                return -ENOMEM;
        }
        cache->n_segments = n_vcpus > 2 ? YOUNG_SEGMENTS_MANY : YOUNG_SEGMENTS;
        cache->segment_bytes = YOUNG_SEGMENT_BYTES;
        cache->kept_bytes = KEPT_BYTES;
        cache->n_buckets = BUCKETS_MIN;
        *ret = cache;
        return 0;
}

/** block_cache_free() - release; NULL is fine */
void block_cache_free(struct BlockCache *cache) {
        if (!cache)
                return;
        release(cache->young, YOUNG_BYTES);
        release(cache->kept, KEPT_BYTES);
        release(cache->hash, HASH_BYTES);
        free(cache);
}

/**
 * block_cache_limit() - for tests: less room, so that blocks make room for others all the time; while it is empty
 * @young_bytes: room for two blocks of any length at least
 */
void block_cache_limit(struct BlockCache *cache, size_t young_bytes, size_t kept_bytes) {
        assert(young_bytes / 2 >= size_of(BLOCK_UOPS_MAX + 1, BLOCK_LINKS_MAX));
        assert(young_bytes <= YOUNG_BYTES && kept_bytes <= KEPT_BYTES);
        cache->n_segments = 2;
        cache->segment_bytes = young_bytes / 2;
        cache->kept_bytes = kept_bytes;
}

/* ---- finding by address ---- */

static unsigned bucket_of(const struct BlockCache *cache, uint64_t phys) {
        return (unsigned) (phys * 0x9e3779b97f4a7c15u >> 48) & (cache->n_buckets - 1);
}

/* Twice as many, in place: the blocks of each stay or go to the one that is as far behind. */
static void add_buckets(struct BlockCache *cache) {
        unsigned n = cache->n_buckets;

        cache->n_buckets = 2 * n;
        for (unsigned i = 0; i < n; i++) {
                Block *b = cache->hash[i], *next;

                cache->hash[i] = NULL;
                for (; b; b = next) {
                        unsigned to = bucket_of(cache, b->phys);

                        next = b->hash_next;
                        b->hash_next = cache->hash[to];
                        cache->hash[to] = b;
                }
        }
}

static void hash_add(struct BlockCache *cache, Block *b) {
        unsigned i;

        if (cache->n_hashed++ == cache->n_buckets && cache->n_buckets < BUCKETS_MAX)
                add_buckets(cache);
        i = bucket_of(cache, b->phys);
        b->hash_next = cache->hash[i];
        cache->hash[i] = b;
}

static void hash_remove(struct BlockCache *cache, const Block *b) {
        Block **at = &cache->hash[bucket_of(cache, b->phys)];

        while (*at && *at != b)
                at = &(*at)->hash_next;
        if (!*at)
                return; /* it was stale, and is out already */
        *at = b->hash_next;
        cache->n_hashed--;
}

/** block_cache_find() - the block that begins at @phys; NULL when there is none, or it is stale and thus forgotten */
Block *block_cache_find(struct BlockCache *cache, uint64_t phys, unsigned mode) {
        Block **at = &cache->hash[bucket_of(cache, phys)], *b;

        while ((b = *at) && (b->phys != phys || b->mode != mode))
                at = &b->hash_next;
        if (!b || *b->page_version == b->version)
                return b;
        *at = b->hash_next;
        cache->n_hashed--;
        return NULL;
}

/* ---- young blocks ---- */

static uint8_t *segment_at(const struct BlockCache *cache) {
        return cache->young + cache->segment * cache->segment_bytes;
}

/*
 * Takes the segment's blocks out, but for those that ran again since they came or were last looked at: these move
 * together at its beginning.
 */
static void sweep(struct BlockCache *cache) {
        uint8_t *at = segment_at(cache), *to = at;
        const uint8_t *end = at + cache->fill[cache->segment];

        while (at < end) {
                Block *b = (Block *) (void *) at;
                size_t bytes = size_of(b->n_slots, b->n_links);

                hash_remove(cache, b);
                at += bytes;
                if (*b->page_version != b->version || (uint8_t) b->heat == b->heat_seen)
                        continue;
                b->heat_seen = (uint8_t) b->heat;
                hash_add(cache, memmove(to, b, bytes));
                to += bytes;
        }
        cache->fill[cache->segment] = (size_t) (to - segment_at(cache));
}

static bool has_room(const struct BlockCache *cache) {
        return cache->fill[cache->segment] + size_of(BLOCK_UOPS_MAX + 1, BLOCK_LINKS_MAX) <=
               cache->segment_bytes;
}

/**
 * block_cache_make_room() - for a young block of any length
 * @ret: where; it counts after block_cache_add(), and is lost otherwise
 *
 * Return: whether other young blocks went or moved, so that no way to one holds any more
 */
bool block_cache_make_room(struct BlockCache *cache, Block **ret) {
        bool swept = false;

        /* Who stayed in the first turn has not run since, and goes in the second. */
        while (!has_room(cache)) {
                cache->segment = (cache->segment + 1) % cache->n_segments;
                swept = swept || cache->fill[cache->segment] != 0;
                sweep(cache);
        }
        *ret = (Block *) (void *) (segment_at(cache) + cache->fill[cache->segment]);
        return swept;
}

/** block_cache_add() - @b, which lies where block_cache_make_room() said last, is complete and can be found */
void block_cache_add(struct BlockCache *cache, Block *b) {
        b->heat_seen = 1; /* its first execution, which is to come */
        cache->fill[cache->segment] += size_of(b->n_slots, b->n_links);
        hash_add(cache, b);
}

/* ---- blocks to keep ---- */

/* Of no page: whoever still has a way to a block that moved looks for it again. */
static const _Atomic uint32_t moved_version = 1;

/**
 * block_cache_keep() - move a young block to where it stays until block_cache_clear()
 * @b: stale from now on; it has no links, as it is about to be translated
 *
 * Return: the block, or NULL when there is no room; then nothing has changed.
 */
Block *block_cache_keep(struct BlockCache *cache, Block *b) {
        size_t bytes = size_of(b->n_slots, 0);
        Block *kept = (Block *) (void *) (cache->kept + cache->kept_used);

        if (cache->kept_used + bytes > cache->kept_bytes)
                return NULL;
        hash_remove(cache, b);
        memcpy(kept, b, bytes);
        kept->kept = true;
        kept->n_links = 0;
        cache->kept_used += bytes;
        hash_add(cache, kept);
        b->page_version = &moved_version;
        b->version = 0;
        return kept;
}

/* ---- all of them ---- */

/** block_cache_clear() - forget all blocks, and give their memory back but for that of young ones, which is used soon */
void block_cache_clear(struct BlockCache *cache) {
        if (cache->kept_used > 0)
                (void) madvise(cache->kept, cache->kept_used, MADV_DONTNEED);
        cache->kept_used = 0;
        if (cache->n_buckets > BUCKETS_MIN)
                (void) madvise(cache->hash, cache->n_buckets * BUCKET_BYTES, MADV_DONTNEED);
        else
                memset(cache->hash, 0, BUCKETS_MIN * BUCKET_BYTES);
        cache->n_buckets = BUCKETS_MIN;
        cache->n_hashed = 0;
        cache->segment = 0;
        memset(cache->fill, 0, sizeof(cache->fill));
        memset(cache->straddlers, 0, sizeof(cache->straddlers));
}
