/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that others write. A device of the host reaches guest memory by DMA and tells nobody, so that the watch over pages
 * with code (partition.c) does not see it. Where there are such writers, each block begins with a Uop that compares what
 * memory holds now with what the block was decoded from; where that differs, all that was decoded from the page is stale.
 * Every way into a block leads through its first Uop, links between translated blocks too.
 *
 * No more is promised by x86 (SDM volume 3 section 8.1.3): who runs code that another agent has written executes a
 * serializing instruction first, or an interrupt told that the device is done, and both end blocks.
 */
#include "vmm/hv/soft/source.h"

#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"

#define INSTRUCTION_BYTES 15u
/* The comparison, the instructions, what ends the block, and the bytes of all of them take the room of any block. */
#define CHECKED_UOPS_MAX 32u
#define COPY_SLOT (1u + CHECKED_UOPS_MAX + 1u)
#define COPY_BYTES (CHECKED_UOPS_MAX * INSTRUCTION_BYTES)
_Static_assert(COPY_SLOT * sizeof(Uop) + COPY_BYTES <= (BLOCK_UOPS_MAX + 1) * sizeof(Uop),
               "a block's room");

/** source_bytes() - what the block that begins with @u was decoded from, its .disp bytes */
const uint8_t *source_bytes(const Uop *u) {
        return (const uint8_t *) (u + u->reg);
}

/** op_check_source() - go on if the block is still what memory holds */
void op_check_source(SoftCpu *c, const Uop *u) {
        const Block *b =
                (const Block *) (const void *) ((const uint8_t *) u - offsetof(Block, uops));
        const void *now = (const void *) (uintptr_t) u->imm; /* NOLINT(performance-no-int-to-ptr) */

        if (likely(memcmp(source_bytes(u), now, (size_t) u->disp) == 0))
                NEXT(c, u);
        ram_page_written(c->partition, b->phys, /* whole= */ false);
        GOTO(c, uop_rip(c, u) & ip_mask(c));
}

/**
 * source_decode() - decode_block() of what others may write meanwhile, with the comparison before it
 * @code, @avail: bytes of one page
 * @b: has room for a block of any length; source_keep() when it is finished otherwise
 */
unsigned source_decode(SoftCpu *c, const uint8_t *code, unsigned avail, Block *b,
                       unsigned *ret_bytes) {
        uint8_t *copy = (uint8_t *) &b->uops[COPY_SLOT];
        unsigned n;

        avail = MIN(avail, COPY_BYTES);
        memcpy(copy, code, avail);
        b->uops[0] = (Uop){.fn = op_check_source,
                           .imm = (uintptr_t) code,
                           .base = REG_ZERO,
                           .index = REG_ZERO};
        n = decode_block(c->thunks, copy, avail, c->mode, CHECKED_UOPS_MAX, b->uops + 1, ret_bytes);
        return n == 0 ? 0 : 1 + n;
}

/** source_keep() - the bytes that @b was decoded from move behind its last Uop, where its links have not begun yet */
void source_keep(Block *b) {
        b->uops[0].reg = b->n_slots;
        b->uops[0].disp = b->n_bytes;
        memmove(&b->uops[b->n_slots], &b->uops[COPY_SLOT], b->n_bytes);
        b->n_slots = (uint8_t) (b->n_slots + (b->n_bytes + sizeof(Uop) - 1) / sizeof(Uop));
}
