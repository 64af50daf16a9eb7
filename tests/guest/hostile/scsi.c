/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

#define BLOCKS 2048u /* of each disk */
#define HEAD 51u     /* a request, before its data */
#define ANSWER 108u  /* a response, before its data */

static void put_lun(volatile uint8_t *at, unsigned target, unsigned lun) {
        at[0] = 1;
        at[1] = (uint8_t) target;
        at[2] = (uint8_t) (0x40 | lun >> 8);
        at[3] = (uint8_t) lun;
}

/* The highest byte first. */
static void put_big(volatile uint8_t *at, unsigned bytes, uint64_t v) {
        while (bytes-- > 0) {
                at[bytes] = (uint8_t) v;
                v >>= 8;
        }
}

/* Commands that exist and do not, blocks around the end of the disk, lengths that do not fit the buffers. */
static void offer_command(struct device *dev) {
        static const uint8_t opcodes[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x25, 0x28,
                                          0x2a, 0x35, 0x41, 0x42, 0x5a, 0x88, 0x8a, 0x91,
                                          0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0x7f};
        volatile uint8_t *at = scratch(HEAD + 16 * 70), *cdb = at + 19;

        for (unsigned i = 0; i < HEAD + 16 * 70; i++)
                at[i] = one_in(16) ? (uint8_t) any() : 0;
        put_lun(at, one_in(8) ? below(256) : below(2), one_in(8) ? below(16384) : 0);
        cdb[0] = one_in(16) ? (uint8_t) any() : PICK(opcodes);
        if (!one_in(4))
                for (unsigned i = 1; i < 16; i++)
                        cdb[i] = 0;
        if (one_in(2)) {
                put_big(cdb + 2, cdb[0] >= 0x80 && cdb[0] < 0xa0 ? 8 : 4,
                        one_in(2) ? below(BLOCKS + 16) : odd_number());
                cdb[cdb[0] < 0x80 ? 8 : cdb[0] < 0xa0 ? 13 : 9] = (uint8_t) below(8);
        }
        put_big(at + HEAD + 2, 2, one_in(2) ? 16 * below(70) : any());
        for (unsigned i = 0; i < 69; i++) {
                put_big(at + HEAD + 8 + 16 * i, 8, one_in(2) ? below(BLOCKS + 16) : odd_number());
                put_big(at + HEAD + 16 + 16 * i, 4, one_in(2) ? below(64) : odd_number());
        }
        offer(&(struct request){.queue = 2 +
                                         below((dev->n_queues < RINGS ? dev->n_queues : RINGS) - 2),
                                .n_out = one_in(16)  ? below(HEAD)
                                         : one_in(2) ? HEAD
                                                     : HEAD + below(16 * 69),
                                .n_in = one_in(16)  ? below(ANSWER)
                                        : one_in(2) ? ANSWER
                                                    : ANSWER + below(2048),
                                .out = (uint64_t) at});
}

/* Management of tasks that are and are not, of targets that are not; and what is no control request at all. */
static void offer_control(void) {
        volatile uint8_t *at = scratch(24);

        put32(at, one_in(8) ? odd_number() : below(3));
        put32(at + 4, below(10));
        put_lun(at + (at[0] == 0 ? 8 : 4), below(4), one_in(4));
        put64(at + 16, below(4));
        offer(&(struct request){.n_out = one_in(16) ? below(24) : 24,
                                .n_in = one_in(16) ? below(5) : 5,
                                .out = (uint64_t) at});
}

static void abuse_scsi(struct device *dev) {
        begin(dev, ~0ull);
        for (unsigned i = 0; i < 24; i++) {
                if (one_in(4))
                        offer_control();
                else
                        offer_command(dev);
                if (one_in(8))
                        offer(&(struct request){.queue = 1, .n_in = below(32)});
                if (one_in(2))
                        notify(dev, below(dev->n_queues));
        }
}

/* The next command of a device that begin() started: @number counts from 1. Return: bytes of data that came back. */
static unsigned command(struct device *dev, unsigned number, unsigned target, uint8_t opcode,
                        unsigned n_in) {
        volatile uint16_t *used = (volatile uint16_t *) ring(2, 2);
        volatile uint8_t *at = (volatile uint8_t *) BUFFERS;
        const uint64_t end = ticks() + PATIENCE;

        fill((void *) BUFFERS, 0, HEAD);
        put_lun(at, target, 0);
        at[19] = opcode;
        at[19 + 8] = opcode ? 1 : 0; /* of READ (10): one block, the first */
        offer(&(struct request){.queue = 2, .n_out = HEAD, .n_in = ANSWER + n_in});
        notify(dev, 2);
        while (used[1] != number)
                if (ticks() > end)
                        fail(dev, "a good command gets no answer");
        if (at[4096 + 11] != 0)
                fail(dev, "a good command is not taken");
        return used[4 * number] - ANSWER;
}

/* The first command of each disk only hears of the reset. */
static void check_scsi(struct device *dev) {
        volatile uint8_t *answer = (volatile uint8_t *) (BUFFERS + 4096);
        static const char first[] = "HOSTILE";

        begin(dev, 0);
        for (unsigned target = 0; target < 2; target++) {
                (void) command(dev, 1 + 2 * target, target, 0x00, 0);
                if (answer[10] != 2 || answer[12 + 12] != 0x29)
                        fail(dev, "a reset is not told");
                if (command(dev, 2 + 2 * target, target, 0x28, 512) != 512 || answer[10] != 0)
                        fail(dev, "a good read fails");
                for (unsigned i = 0; i < sizeof(first) && target == 0; i++)
                        if (answer[ANSWER + i] != (uint8_t) first[i])
                                fail(dev, "a good read has wrong data");
        }
}

const struct family scsi_family = {TYPE_SCSI, abuse_scsi, check_scsi};
