/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

/* A greedy guest: all of its buffers at once, over and over. */
static void abuse_rng(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 24; i++) {
                offer(&(struct request){.n_out = one_in(4) ? below(64) : 0,
                                        .n_in = one_in(4) ? 0x100000 : below(4096),
                                        .in = BUFFERS + 0x100000});
                notify(dev, 0);
        }
}

static void check_rng(struct device *dev) {
        if (serve(dev, &(struct request){.n_in = 64}) != 64 ||
            *(volatile uint64_t *) (BUFFERS + 4096) == 0)
                fail(dev, "no randomness");
}

const struct family rng_family = {TYPE_RNG, abuse_rng, check_rng};
