/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded blocks by physical address. Each processor has its own, so that nobody frees what another runs; a block is
 * good as long as the version of its page is the one it was decoded at.
 */
#include "base/cleanup.h"

#include <string.h>
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/block_cache.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native.h"
#include "vmm/hv/soft/source.h"

#define INSTRUCTION_BYTES 15u

static void block_stop(SoftCpu *c, const Uop *u) {
        c->rip = (c->r[REG_BLOCK] + u->ip) & ip_mask(c);
}

/** block_cache_flush() - forget all blocks; not from inside one */
void block_cache_flush(SoftCpu *c) {
        block_cache_clear(c->cache);
        native_cache_flush(c->native);
        block_generation_next(c, true);
}

/**
 * block_generation_next() - translations changed: remembered jumps and links do not hold any more
 * @global_too: also those into global pages
 */
void block_generation_next(SoftCpu *c, bool global_too) {
        c->generation[0]++;
        c->generation[WAY_YOUNG]++;
        if (!global_too)
                return;
        c->generation[WAY_GLOBAL]++;
        c->generation[WAY_GLOBAL | WAY_YOUNG]++;
        memset(c->fetched, 0, sizeof(c->fetched));
}

/* Neither goes on with the next Uop nor writes to memory, which ends the block behind it: see code_written(). */
static bool is_jump(const Uop *u) {
        return u->fn == op_jcc || u->fn == op_jmp_rel;
}

static void finish(Block *b, uint64_t phys, unsigned mode, unsigned n, unsigned bytes) {
        b->phys = phys;
        b->page_version = NULL;
        b->chain = NULL;
        b->heat = 0;
        b->mode = (uint8_t) mode;
        b->n_uops = (uint8_t) n;
        b->kept = false;
        b->n_slots = (uint8_t) (is_jump(&b->uops[n - 1]) ? n : n + 1);
        b->n_links = 0;
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
                const uint8_t *host2 = tlb_fetch_page(c, (lin | 0xfff) + 1, &phys2, &global);

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
        const uint8_t *host2 = tlb_fetch_page(c, (lin | 0xfff) + 1, &phys2, &global);

        if (known_straddler(c, phys) && s->phys2 == phys2 && *s->version_at2 == s->version2)
                return b;
        /* What others write would have to be compared with both. */
        if (c->foreign_writers || !host2 || !ram_page_add_code(c, phys2, host2))
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

/* How many successors the block has without a change of mode or privilege, or a limit of a segment, on the way. */
static unsigned count_links(const Block *b) {
        UopFn last = b->uops[b->n_uops - 1].fn;

        if (b->mode != MODE_64 && !(b->mode & MODE_FLAT))
                return 0;
        return last == op_jcc ? 2 : last == op_jmp_rel || last == op_call_rel ? 1 : 0;
}

static Block *decode_cached(SoftCpu *c, uint64_t lin, uint64_t phys, const uint8_t *host) {
        unsigned offset = lin & 0xfff, n, bytes;
        _Atomic uint32_t *version = ram_page_version(c->partition, phys);
        uint32_t at_version;
        Block *b;

        if (!ram_page_add_code(c, phys, host))
                return decode_once(c, lin, phys, host, BLOCK_UOPS_MAX);
        if (known_straddler(c, phys))
                return find_straddler(c, lin, phys, host);
        make_room_for_thunks(c);
        if (block_cache_make_room(c->cache, &b)) {
                c->generation[WAY_YOUNG]++;
                c->generation[WAY_GLOBAL | WAY_YOUNG]++;
        }
        at_version = atomic_load_explicit(version, memory_order_acquire);
        if (c->foreign_writers)
                n = source_decode(c, host + offset, 0x1000 - offset, b, &bytes);
        else
                n = decode_block(c->thunks, host + offset, 0x1000 - offset, c->mode, BLOCK_UOPS_MAX,
                                 b->uops, &bytes);
        if (n == 0)
                return find_straddler(c, lin, phys, host);
        finish(b, phys, c->mode, n, bytes);
        if (c->foreign_writers)
                source_keep(b);
        b->n_links = (uint8_t) count_links(b);
        memset(block_links(b), 0, b->n_links * sizeof(BlockLink));
        b->page_version = version;
        b->version = at_version;
        block_cache_add(c->cache, b);
        return b;
}

/* @ret_which: the generation that holds the way to the block */
static Block *find_in_segment(SoftCpu *c, uint8_t *ret_which) {
        uint64_t lin = linear_rip(c), phys;
        JumpEntry *j = &c->jumps[(lin ^ lin >> 12) % JUMP_CACHE];
        const uint8_t *host;
        bool global;
        Block *b;

        if (likely(j->rip == lin && j->generation == c->generation[j->which] &&
                   j->mode == c->jump_mode && *j->block->page_version == j->block->version &&
                   !c->single)) {
                *ret_which = j->which;
                return j->block;
        }

        host = tlb_fetch_page(c, lin, &phys, &global);
        phys |= lin & 0xfff;
        if (unlikely(!host || c->single))
                return decode_once(c, lin, phys, host, 1);
        b = block_cache_find(c->cache, phys, c->mode);
        if (!b) {
                b = decode_cached(c, lin, phys, host);
                if (!b->page_version)
                        return b;
        }
        *ret_which = (uint8_t) ((global ? WAY_GLOBAL : 0) | (b->kept ? 0 : WAY_YOUNG));
        *j = (JumpEntry){.rip = lin,
                         .block = b,
                         .generation = c->generation[*ret_which],
                         .mode = c->jump_mode,
                         .which = *ret_which};
        return b;
}

/* The instruction at rip alone, of whose bytes the code segment has @room. */
static Block *find_last(SoftCpu *c, uint64_t room) {
        const uint64_t lin = linear_rip(c);
        uint64_t phys;
        bool global;
        const uint8_t *host = tlb_fetch_page(c, lin, &phys, &global);
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
static Block *find(SoftCpu *c, uint8_t *ret_which) {
        const uint64_t limit = c->seg[SEG_CS].limit;
        Block *b;

        if (likely(cpu_code64(c) || (c->mode & MODE_FLAT)))
                return find_in_segment(c, ret_which);
        if (c->rip > limit)
                cpu_raise_code(c, NULL, EXC_GP, 0);
        if (limit - c->rip < INSTRUCTION_BYTES)
                return find_last(c, limit - c->rip + 1);
        b = find_in_segment(c, ret_which);
        return b->n_bytes <= limit - c->rip + 1 ? b : find_last(c, limit - c->rip + 1);
}

/**
 * block_find() - the block at rip, decoded if need be
 *
 * Faults as an instruction fetch does. Return: never NULL; valid until the next call.
 */
Block *block_find(SoftCpu *c) {
        uint8_t which;

        return find(c, &which);
}

/**
 * block_find_and_link() - block_find(), remembered in @from, which ran just before
 * @from: has links
 */
Block *block_find_and_link(SoftCpu *c, Block *from) {
        uint64_t generation = c->generation[WAY_GLOBAL | WAY_YOUNG];
        uint64_t rip = c->rip;
        uint8_t which = 0; /* a block that is not kept has none */
        Block *b = find(c, &which);

        /* @from may have made room on the way. */
        if (c->generation[WAY_GLOBAL | WAY_YOUNG] == generation && b->page_version) {
                bool behind = from->n_links == 2 && rip == c->r[REG_BLOCK] + from->n_bytes;
                BlockLink *link = &block_links(from)[behind];

                *link = (BlockLink){.rip = rip,
                                    .block = b,
                                    .generation = c->generation[which],
                                    .cpl = c->cpl,
                                    .which = which};
        }
        return b;
}

/**
 * block_find_and_chain() - block_find(), and if it is translated, the block that was left by SoftCpu.exit_link goes on
 * there by itself from now on
 */
Block *block_find_and_chain(SoftCpu *c) {
        NativeLink *link = c->exit_link;
        uint64_t generation = c->generation[WAY_GLOBAL];
        uint8_t which = 0; /* a block that is not kept has none */
        Block *b;

        c->exit_link = NULL;
        b = find(c, &which);
        /* Unless a flush on the way took the link with it; what is not checked later must be right for good. */
        if (!b->chain || b->mode != MODE_64 || c->generation[WAY_GLOBAL] != generation ||
            (link->page != TLB_INVALID && link->page != (b->phys & PAGE_MASK)))
                return b;
        link->code = b->chain;
        if (link->page == TLB_INVALID)
                *(NativeFarLink *) (void *) link =
                        (NativeFarLink){.link = *link,
                                        .rip = c->rip,
                                        .generation = c->generation[which],
                                        .generation_at = &c->generation[which],
                                        .version_at = b->page_version,
                                        .version = b->version,
                                        .cpl = c->cpl};
        return b;
}

/**
 * block_warm() - count one more execution of @b, and translate it when it is worth it
 *
 * Return: what to execute; @b may be stale.
 */
Block *block_warm(SoftCpu *c, Block *b) {
        if (likely(++b->heat != c->native_heat))
                return b;
        /* What lies in two pages would have to be checked against both. */
        if (b->mode != MODE_64 || !b->page_version)
                return b;
        b = block_cache_keep(c->cache, b);
        if (b && native_translate(c->native, b))
                return b;
        block_cache_flush(c);
        thunk_cache_flush(c->thunks);
        return block_find(c);
}
