/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

/* Requests that are too short, of types that do not exist, and more flushes than a disk can do. */
static void abuse_pmem(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 31; i++) {
                volatile uint8_t *at = scratch(16);

                put32(at, one_in(4) ? odd_number() : 0);
                offer(&(struct request){.n_out = one_in(16) ? below(16) : 4,
                                        .n_in = one_in(16) ? below(16) : 4,
                                        .out = (uint64_t) at});
                if (one_in(2))
                        notify(dev, 0);
        }
        notify(dev, 0);
}

static void check_pmem(struct device *dev) {
        *(volatile uint32_t *) BUFFERS = 0; /* VIRTIO_PMEM_REQ_TYPE_FLUSH */
        *(volatile uint32_t *) (BUFFERS + 4096) = ~0u;
        if (serve(dev, &(struct request){.n_out = 4, .n_in = 4}) != 4 ||
            *(volatile uint32_t *) (BUFFERS + 4096) != 0)
                fail(dev, "a good flush fails");
}

const struct family pmem_family = {TYPE_PMEM, abuse_pmem, check_pmem};
