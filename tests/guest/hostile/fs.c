/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

#define HEADER 40u
#define ANSWER 16u

enum {
        FUSE_FORGET = 2,
        FUSE_MKNOD = 8,
        FUSE_INIT = 26,
        FUSE_SETLKW = 33,
        FUSE_POLL = 40,
        FUSE_LAST = 52
};

/* A device file or a lock could keep the process at the other end for ever, and that is what a guest is free to do. */
static bool may_block(unsigned opcode) {
        return opcode == FUSE_MKNOD || opcode == FUSE_SETLKW || opcode == FUSE_POLL;
}

static void put_header(volatile uint8_t *at, uint64_t len, unsigned opcode) {
        put32(at, len);
        put32(at + 4, opcode);
        put64(at + 8, any());     /* the request's number */
        put64(at + 16, below(3)); /* of the file */
}

/* The device knows nothing of files, but must get each request back from a process that may not like them. */
static void abuse_fs(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 16; i++) {
                unsigned opcode = one_in(16) ? (unsigned) odd_number() : below(FUSE_LAST),
                         bytes = HEADER + below(200);
                volatile uint8_t *at = scratch(HEADER + 200);

                if (may_block(opcode))
                        opcode = FUSE_FORGET;
                put_header(at, one_in(64) ? odd_number() : bytes, opcode);
                offer(&(struct request){.queue = one_in(8) ? 0 : 1,
                                        .n_out = one_in(64) ? below(HEADER) : bytes,
                                        .n_in = one_in(4) ? below(32) : below(65536),
                                        .out = (uint64_t) at,
                                        .in = BUFFERS + 0x100000});
                if (one_in(2))
                        notify(dev, below(2));
        }
        notify(dev, 0);
        notify(dev, 1);
}

/* Answered by the process, or in its place if it has ended. */
static void check_fs(struct device *dev) {
        volatile uint8_t *at = (volatile uint8_t *) BUFFERS;

        put_header(at, HEADER + 16, FUSE_INIT);
        put32(at + HEADER, 7);
        put32(at + HEADER + 4, 31);
        if (serve(dev, &(struct request){.queue = 1, .n_out = HEADER + 16, .n_in = 4096}) < ANSWER)
                fail(dev, "a good request has no answer in it");
}

const struct family fs_family = {TYPE_FS, abuse_fs, check_fs};
