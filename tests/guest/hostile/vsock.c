/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

#define HEADER 44u
#define PORT_SERVED 7u /* somebody of the host listens there */

enum {
        OP_REQUEST = 1,
        OP_RESPONSE,
        OP_RST,
        OP_SHUTDOWN,
        OP_RW,
        OP_CREDIT_UPDATE,
        OP_CREDIT_REQUEST
};

static void send_packet(struct device *dev, unsigned op, unsigned port, unsigned data) {
        volatile uint8_t *packet = scratch(HEADER);

        put64(packet, one_in(32) ? odd_number() : *(volatile uint32_t *) (dev->base + dev->config));
        put64(packet + 8, one_in(32) ? odd_number() : 2);
        put32(packet + 16, 1000 + port);
        put32(packet + 20, one_in(8) ? odd_number() : PORT_SERVED);
        put32(packet + 24, one_in(16) ? odd_number() : data);
        put32(packet + 28, (one_in(32) ? below(4) : 1) | op << 16);
        put32(packet + 32, below(4));     /* which directions are shut down */
        put32(packet + 36, odd_number()); /* credit that was given, and used: lies */
        put32(packet + 40, odd_number());
        offer(&(struct request){.queue = 1,
                                .n_out = one_in(16) ? below(HEADER) : HEADER + data,
                                .out = (uint64_t) packet});
}

/* Connections that are asked for twice, closed before they are open, flooded, and never looked after. */
static void abuse_vsock(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 28; i++) {
                unsigned op = one_in(4) ? below(10) : one_in(2) ? OP_REQUEST : OP_RW;

                if (one_in(2))
                        offer(&(struct request){.n_in = one_in(4) ? below(64) : 4096,
                                                .in = BUFFERS + 0x100000});
                send_packet(dev, op, below(one_in(8) ? 65536 : 8), op == OP_RW ? below(8192) : 0);
                if (one_in(2))
                        notify(dev, below(2));
        }
        notify(dev, 1);
}

/* A packet for a port that nobody has: taken, and dropped. */
static void check_vsock(struct device *dev) {
        (void) serve(dev, &(struct request){.queue = 1, .n_out = HEADER + 32});
}

const struct family vsock_family = {TYPE_VSOCK, abuse_vsock, check_vsock};
