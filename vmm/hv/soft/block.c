/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded blocks by physical address. Each processor has its own, so that nobody frees what another runs; a block is
 * good as long as the version of its page is the one it was decoded at.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native.h"

#define ARENA_SIZE (64u * 1024u * 1024u)
#define HASH_SIZE 65536u

#define STRADDLERS 64u
#define INSTRUCTION_BYTES 15u

/* An instruction that lies in two pages; good as long as both are as they were. */
typedef struct Straddler {
        uint64_t phys, phys2;
        const _Atomic uint32_t *version_at, *version_at2; /* NULL = none */
        uint32_t version, version2;
        uint8_t block[sizeof(Block) + 2 * sizeof(Uop)] __attribute__((aligned(16)));
} Straddler;

struct BlockCache {
        uint8_t *arena;
        size_t used;
        Block *hash[HASH_SIZE];
        Straddler straddlers[STRADDLERS];
};

static void block_stop(SoftCpu *c, const Uop *u) {
        c->rip = (c->r[REG_BLOCK] + u->ip) & ip_mask(c);
}

/** block_cache_new() - an empty cache for one processor. Return: 0 or -ENOMEM. */
int block_cache_new(struct BlockCache **ret) {
        struct BlockCache *cache = calloc(1, sizeof(*cache));
        void *arena;

        if (!cache)
                return -ENOMEM;
        arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (arena == MAP_FAILED) {
                free(cache);
                return -ENOMEM;
        }
        cache->arena = arena;
        *ret = cache;
        return 0;
}

/** block_cache_free() - release; NULL is fine */
void block_cache_free(struct BlockCache *cache) {
        if (!cache)
                return;
        (void) munmap(cache->arena, ARENA_SIZE);
        free(cache);
}

/** block_cache_flush() - forget all blocks; not from inside one */
void block_cache_flush(SoftCpu *c) {
        memset(c->cache->hash, 0, sizeof(c->cache->hash));
        memset(c->cache->straddlers, 0, sizeof(c->cache->straddlers));
        c->cache->used = 0;
        native_cache_flush(c->native);
        block_generation_next(c, true);
}

/**
 * block_generation_next() - translations changed: remembered jumps and links do not hold any more
 * @global_too: also those into global pages
 */
void block_generation_next(SoftCpu *c, bool global_too) {
        c->generation[0]++;
        if (!global_too)
                return;
        c->generation[1]++;
        memset(c->fetched, 0, sizeof(c->fetched));
}

static size_t block_size(unsigned n) {
        return (sizeof(Block) + (n + 1) * sizeof(Uop) + 15) & ~(size_t) 15;
}

static void finish(Block *b, uint64_t phys, unsigned mode, unsigned n, unsigned bytes) {
        b->phys = phys;
        b->page_version = NULL;
        b->linkable = false;
        b->chain = NULL;
        b->heat = 0;
        b->mode = (uint8_t) mode;
        b->n_uops = (uint8_t) n;
        b->n_bytes = (uint16_t) bytes;
        b->uops[n] = (Uop){
                .fn = block_stop, .ip = (uint16_t) bytes, .base = REG_ZERO, .index = REG_ZERO};
}

static uint64_t linear_rip(const SoftCpu *c) {
        return cpu_code64(c) ? c->rip : (c->seg[SEG_CS].base + c->rip) & UINT32_MAX;
}

/*
 * The native code that a block needs must find room; the blocks that use what is there go with it. Twice as much as
 * there are instructions, because a first attempt at decoding may end at the page.
 */
static void make_room_for_thunks(SoftCpu *c) {
        if (thunk_cache_has_room(c->thunks, 2 * (BLOCK_UOPS_MAX + 1)))
                return;
        block_cache_flush(c);
        thunk_cache_flush(c->thunks);
}

/* One instruction that begins with @avail bytes at @code and goes on in the page at @next, or in nothing for NULL. */
static unsigned decode_two(SoftCpu *c, const uint8_t *code, unsigned avail, const uint8_t *next,
                           Uop *uops, unsigned *ret_bytes) {
        uint8_t both[2 * INSTRUCTION_BYTES];

        memcpy(both, code, avail);
        if (next)
                memcpy(both + avail, next, INSTRUCTION_BYTES);
        else
                memset(both + avail, 0xff, INSTRUCTION_BYTES);
        return decode_block(c->thunks, both, avail + INSTRUCTION_BYTES, c->mode, 1, uops,
                            ret_bytes);
}

/* One instruction that lies in two pages, or must run alone: decoded for this once. */
static Block *decode_once(SoftCpu *c, uint64_t lin, uint64_t phys, const uint8_t *host,
                          unsigned max) {
        Block *b = (Block *) (void *) c->temp_block;
        unsigned offset = lin & 0xfff, avail = 0x1000 - offset, n, bytes;

        make_room_for_thunks(c);
        if (!host) { /* no RAM to fetch from */
                b->uops[0] = (Uop){.fn = op_invalid, .base = REG_ZERO, .index = REG_ZERO};
                finish(b, phys, c->mode, 1, 0);
                return b;
        }
        n = decode_block(c->thunks, host + offset, avail, c->mode, max, b->uops, &bytes);
        if (n == 0) {
                uint64_t phys2;
                bool global;
                const uint8_t *host2 = mmu_fetch_page(c, (lin | 0xfff) + 1, &phys2, &global);

                n = decode_two(c, host + offset, avail, host2, b->uops, &bytes);
        }
        finish(b, phys, c->mode, n, bytes);
        return b;
}

/* A page has one place for what begins in it and does not end there. */
static Straddler *straddler_at(SoftCpu *c, uint64_t phys) {
        return &c->cache->straddlers[(phys >> 12) % STRADDLERS];
}

/* Whether what begins at @phys is known to end in the next page. Once its page is written to, it may end before. */
static bool known_straddler(SoftCpu *c, uint64_t phys) {
        const Straddler *s = straddler_at(c, phys);
        const Block *b = (const Block *) (const void *) s->block;

        return s->version_at && s->phys == phys && b->mode == c->mode &&
               *s->version_at == s->version;
}

/* One instruction that begins at @lin and ends in the next page; decode_once() where it cannot be kept. */
static Block *find_straddler(SoftCpu *c, uint64_t lin, uint64_t phys, const uint8_t *host) {
        Straddler *s = straddler_at(c, phys);
        Block *b = (Block *) (void *) s->block;
        unsigned avail = 0x1000 - (lin & 0xfff), n, bytes;
        uint64_t phys2;
        bool global;
        const uint8_t *host2 = mmu_fetch_page(c, (lin | 0xfff) + 1, &phys2, &global);

        if (known_straddler(c, phys) && s->phys2 == phys2 && *s->version_at2 == s->version2)
                return b;
        if (!host2 || !ram_page_add_code(c, phys2, host2))
                return decode_once(c, lin, phys, host, 1);
        make_room_for_thunks(c);
        *s = (Straddler){.phys = phys,
                         .phys2 = phys2,
                         .version_at = ram_page_version(c->partition, phys),
                         .version_at2 = ram_page_version(c->partition, phys2)};
        s->version = atomic_load_explicit(s->version_at, memory_order_acquire);
        s->version2 = atomic_load_explicit(s->version_at2, memory_order_acquire);
        n = decode_two(c, host + (lin & 0xfff), avail, host2, b->uops, &bytes);
        finish(b, phys, c->mode, n, bytes);
        return b;
}

/* Neither the mode nor the privilege changes on the way to the next block, and no limit of a segment is on it. */
static bool ends_directly(const Block *b) {
        UopFn last = b->uops[b->n_uops - 1].fn;

        return (b->mode == MODE_64 || (b->mode & MODE_FLAT)) &&
               (last == op_jcc || last == op_jmp_rel || last == op_call_rel);
}

static Block *decode_cached(SoftCpu *c, uint64_t lin, uint64_t phys, const uint8_t *host,
                            unsigned bucket) {
        struct BlockCache *cache = c->cache;
        unsigned offset = lin & 0xfff, n, bytes;
        _Atomic uint32_t *version = ram_page_version(c->partition, phys);
        uint32_t at_version;
        Block *b;

        if (!ram_page_add_code(c, phys, host))
                return decode_once(c, lin, phys, host, BLOCK_UOPS_MAX);
        if (known_straddler(c, phys))
                return find_straddler(c, lin, phys, host);
        make_room_for_thunks(c);
        if (cache->used + block_size(BLOCK_UOPS_MAX) > ARENA_SIZE)
                block_cache_flush(c);
        b = (Block *) (void *) (cache->arena + cache->used);
        at_version = atomic_load_explicit(version, memory_order_acquire);
        n = decode_block(c->thunks, host + offset, 0x1000 - offset, c->mode, BLOCK_UOPS_MAX,
                         b->uops, &bytes);
        if (n == 0)
                return find_straddler(c, lin, phys, host);
        finish(b, phys, c->mode, n, bytes);
        b->linkable = ends_directly(b);
        memset(b->links, 0, sizeof(b->links));
        b->page_version = version;
        b->version = at_version;
        b->hash_next = cache->hash[bucket];
        cache->hash[bucket] = b;
        cache->used += block_size(n);
        return b;
}

/* Stale blocks on the way are taken out: code that is written again and again would make the chain endless. */
static Block *find_cached(SoftCpu *c, unsigned bucket, uint64_t phys) {
        Block **at = &c->cache->hash[bucket], *b;

        while ((b = *at)) {
                if (*b->page_version != b->version) {
                        *at = b->hash_next;
                        continue;
                }
                if (b->phys == phys && b->mode == c->mode)
                        return b;
                at = &b->hash_next;
        }
        return NULL;
}

/* @ret_global: whether the translation that led to the block is global */
static Block *find_in_segment(SoftCpu *c, bool *ret_global) {
        uint64_t lin = linear_rip(c), phys;
        unsigned bucket;
        JumpEntry *j = &c->jumps[(lin ^ lin >> 12) % JUMP_CACHE];
        const uint8_t *host;
        Block *b;

        if (likely(j->rip == lin && j->generation == c->generation[j->global] &&
                   j->mode == c->jump_mode && *j->block->page_version == j->block->version &&
                   !c->single)) {
                *ret_global = j->global;
                return j->block;
        }

        host = mmu_fetch_page(c, lin, &phys, ret_global);
        phys |= lin & 0xfff;
        if (unlikely(!host || c->single))
                return decode_once(c, lin, phys, host, 1);
        bucket = (unsigned) ((phys ^ phys >> 16) % HASH_SIZE);
        b = find_cached(c, bucket, phys);
        if (!b) {
                b = decode_cached(c, lin, phys, host, bucket);
                if (!b->page_version)
                        return b;
        }
        *j = (JumpEntry){.rip = lin,
                         .block = b,
                         .generation = c->generation[*ret_global],
                         .mode = c->jump_mode,
                         .global = *ret_global};
        return b;
}

/* The instruction at rip alone, of whose bytes the code segment has @room. */
static Block *find_last(SoftCpu *c, uint64_t room, bool *ret_global) {
        const uint64_t lin = linear_rip(c);
        uint64_t phys;
        const uint8_t *host = mmu_fetch_page(c, lin, &phys, ret_global);
        Uop uops[2];
        unsigned bytes;
        Block *b;

        make_room_for_thunks(c);
        /* Where the segment ends with the page, nothing is fetched from the next one. */
        if (host && room <= 0x1000 - (lin & 0xfff) &&
            decode_block(c->thunks, host + (lin & 0xfff), (unsigned) room, c->mode, 1, uops,
                         &bytes) == 0)
                cpu_raise_code(c, NULL, EXC_GP, 0);
        b = decode_once(c, lin, phys | (lin & 0xfff), host, 1);
        if (b->n_bytes > room)
                cpu_raise_code(c, NULL, EXC_GP, 0);
        return b;
}

/* Outside 64-bit mode nothing is executed that does not lie within the code segment with all its bytes. */
static Block *find(SoftCpu *c, bool *ret_global) {
        const uint64_t limit = c->seg[SEG_CS].limit;
        Block *b;

        if (likely(cpu_code64(c) || (c->mode & MODE_FLAT)))
                return find_in_segment(c, ret_global);
        if (c->rip > limit)
                cpu_raise_code(c, NULL, EXC_GP, 0);
        if (limit - c->rip < INSTRUCTION_BYTES)
                return find_last(c, limit - c->rip + 1, ret_global);
        b = find_in_segment(c, ret_global);
        return b->n_bytes <= limit - c->rip + 1 ? b : find_last(c, limit - c->rip + 1, ret_global);
}

/**
 * block_find() - the block at rip, decoded if need be
 *
 * Faults as an instruction fetch does. Return: never NULL; valid until the next call.
 */
Block *block_find(SoftCpu *c) {
        bool global;

        return find(c, &global);
}

/**
 * block_find_and_link() - block_find(), remembered in @from, which ran just before
 * @from: linkable
 */
Block *block_find_and_link(SoftCpu *c, Block *from) {
        uint64_t generation = c->generation[1];
        uint64_t rip = c->rip;
        bool global;
        Block *b = find(c, &global);

        /* A flush of the blocks on the way took @from with it. */
        if (c->generation[1] == generation && b->page_version) {
                BlockLink *link = &from->links[rip == c->r[REG_BLOCK] + from->n_bytes];

                *link = (BlockLink){.rip = rip,
                                    .block = b,
                                    .generation = c->generation[global],
                                    .cpl = c->cpl,
                                    .global = global};
        }
        return b;
}

/**
 * block_find_and_chain() - block_find(), and if it is translated, the block that was left by SoftCpu.exit_link goes on
 * there by itself from now on
 */
Block *block_find_and_chain(SoftCpu *c) {
        NativeLink *link = c->exit_link;
        uint64_t generation = c->generation[1];
        bool global;
        Block *b;

        c->exit_link = NULL;
        b = find(c, &global);
        /* Unless a flush on the way took the link with it; what is not checked later must be right for good. */
        if (!b->chain || b->mode != MODE_64 || c->generation[1] != generation ||
            (link->page != TLB_INVALID && link->page != (b->phys & PAGE_MASK)))
                return b;
        *link = (NativeLink){.code = b->chain,
                             .page = link->page,
                             .rip = c->rip,
                             .generation = c->generation[global],
                             .generation_at = &c->generation[global],
                             .version_at = b->page_version,
                             .version = b->version,
                             .cpl = c->cpl};
        return b;
}

/** block_warm() - count one more execution of @b, and translate it when it is worth it. Return: what to execute. */
Block *block_warm(SoftCpu *c, Block *b) {
        if (likely(++b->heat != c->native_heat))
                return b;
        /* What lies in two pages would have to be checked against both. */
        if (b->mode != MODE_64 || !b->page_version || native_translate(c->native, b))
                return b;
        block_cache_flush(c);
        thunk_cache_flush(c->thunks);
        return block_find(c);
}
