/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

#define HEADER 12u

/* Frames whose header speaks of parts that they do not have. */
static void send_frame(void) {
        volatile uint8_t *frame = scratch(HEADER + 128);
        static const uint8_t kinds[] = {0, 1, 3, 4, 5, 0x80, 0x81, 0xff};

        frame[0] = (uint8_t) below(8);
        frame[1] = PICK(kinds);
        for (unsigned at = 2; at < 10; at += 2)
                *(volatile uint16_t *) (frame + at) =
                        (uint16_t) (one_in(2) ? below(128) : odd_number());
        offer(&(struct request){.queue = 1,
                                .n_out = one_in(3) ? (unsigned) odd_number() & 0x1ffff
                                                   : below(HEADER + 1600),
                                .out = (uint64_t) frame});
}

/* Commands with more addresses, pairs and offloads than there are. */
static void send_command(struct device *dev) {
        volatile uint8_t *command = scratch(64);

        command[0] = (uint8_t) (one_in(8) ? any() : below(7));
        command[1] = (uint8_t) (one_in(8) ? any() : below(4));
        put32(command + 2, odd_number());
        offer(&(struct request){.queue = dev->n_queues - 1,
                                .n_out = below(64),
                                .n_in = below(3),
                                .out = (uint64_t) command});
}

static void abuse_net(struct device *dev) {
        begin(dev, one_in(4) ? any() : ~0ull);
        for (unsigned i = 0; i < 24; i++) {
                offer(&(struct request){.n_in = one_in(2) ? below(64) : below(65536),
                                        .in = BUFFERS + 0x100000});
                send_frame();
                send_command(dev);
                if (one_in(2))
                        notify(dev, below(dev->n_queues));
        }
}

static void check_net(struct device *dev) {
        (void) serve(dev, &(struct request){.queue = 1, .n_out = HEADER + 64});
}

const struct family net_family = {TYPE_NET, abuse_net, check_net};
