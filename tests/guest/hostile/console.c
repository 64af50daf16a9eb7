/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

/* Buffers the wrong way round, of no size, of much; for the one queue and the other. */
static void abuse_console(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 24; i++) {
                unsigned queue = below(dev->n_queues < RINGS ? dev->n_queues : RINGS);

                offer(&(struct request){.queue = queue,
                                        .n_out = one_in(4) ? 0 : below(256),
                                        .n_in = one_in(4) ? below(65536) : 0,
                                        .out = (uint64_t) scratch(256),
                                        .in = BUFFERS + 0x100000});
                notify(dev, queue);
        }
}

static void check_console(struct device *dev) {
        static const char text[] = "hostile: console\r\n";

        for (unsigned i = 0; i < sizeof(text); i++)
                ((volatile char *) BUFFERS)[i] = text[i];
        (void) serve(dev, &(struct request){.queue = 1, .n_out = sizeof(text) - 1});
}

const struct family console_family = {TYPE_CONSOLE, abuse_console, check_console};
