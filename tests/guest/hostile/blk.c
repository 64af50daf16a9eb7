/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

#define SECTORS 2048u /* of each disk */

/* Types that exist and do not, ranges around the end of the disk, lists of ranges to discard that are cut short. */
static void abuse_blk(struct device *dev) {
        static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 2, 16, 0x80000000};

        begin(dev, ~0ull);
        for (unsigned i = 0; i < 24; i++) {
                volatile uint8_t *header = scratch(16 + 17 * 16);

                put32(header, one_in(8) ? any() : PICK(types));
                put64(header + 8, one_in(2) ? below(SECTORS + 16) : odd_number());
                for (unsigned n = 0; n < 17; n++) {
                        put64(header + 16 + 16 * n, one_in(2) ? below(SECTORS + 16) : odd_number());
                        put32(header + 24 + 16 * n, one_in(2) ? below(64) : odd_number());
                        put32(header + 28 + 16 * n, below(4));
                }
                offer(&(struct request){
                        .queue = below(dev->n_queues < RINGS ? dev->n_queues : RINGS),
                        .n_out = one_in(2) ? 16 + 512 * below(8) : below(16 + 17 * 16 + 1),
                        .n_in = one_in(2) ? 1 + 512 * below(8) : below(1024),
                        .out = (uint64_t) header});
                if (one_in(2))
                        notify(dev, below(dev->n_queues));
        }
}

static void check_blk(struct device *dev) {
        volatile uint64_t *in = (volatile uint64_t *) (BUFFERS + 4096),
                          *out = (volatile uint64_t *) BUFFERS;

        out[0] = 0; /* VIRTIO_BLK_T_IN */
        out[1] = 0; /* sector */
        if (serve(dev, &(struct request){.n_out = 16, .n_in = 513}) != 513 ||
            ((volatile uint8_t *) in)[512] != 0)
                fail(dev, "a good read fails");
        if ((offered(dev) & F_BLK_RO) && in[0] != 0x454c4954534f48ul) /* begins with "HOSTILE" */
                fail(dev, "a good read has wrong data");
}

const struct family blk_family = {TYPE_BLK, abuse_blk, check_blk};
