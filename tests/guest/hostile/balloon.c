/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

enum { QUEUE_INFLATE, QUEUE_DEFLATE };

/* A page that is not ours to lose: of the arena, or where no RAM is. */
static uint32_t odd_page(void) {
        return (uint32_t) (one_in(2) ? (ARENA >> 12) + below(ARENA_BYTES >> 12) : any() | 0x100000);
}

/* Pages given twice, taken back that were never given, outside of memory; statistics of nonsense; a size that is a lie. */
static void abuse_balloon(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 24; i++) {
                unsigned queue = below(dev->n_queues < RINGS ? dev->n_queues : RINGS);
                volatile uint8_t *at = scratch(2048);

                for (unsigned n = 0; n < 512; n++)
                        put32(at + 4 * n, odd_page());
                if (queue <= QUEUE_DEFLATE || one_in(2))
                        offer(&(struct request){
                                .queue = queue, .n_out = below(2049), .out = (uint64_t) at});
                else /* free page reporting: what lies there goes */
                        offer(&(struct request){.queue = queue,
                                                .n_in = (unsigned) odd_number() & 0xffffff,
                                                .in = one_in(2) ? odd_address()
                                                                : BUFFERS + 4096ul * below(256)});
                notify(dev, queue);
                if (one_in(4))
                        put32(dev->base + dev->config + 4 * below(4), odd_number());
        }
}

static void check_balloon(struct device *dev) { /* the arena's last page, and back */
        *(volatile uint32_t *) BUFFERS = (ARENA + ARENA_BYTES - 4096) >> 12;
        (void) serve(dev, &(struct request){.queue = QUEUE_INFLATE, .n_out = 4});
        reset(dev);
        *(volatile uint32_t *) BUFFERS = (ARENA + ARENA_BYTES - 4096) >> 12;
        (void) serve(dev, &(struct request){.queue = QUEUE_DEFLATE, .n_out = 4});
}

const struct family balloon_family = {TYPE_BALLOON, abuse_balloon, check_balloon};
