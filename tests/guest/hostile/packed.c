/* SPDX-License-Identifier: Apache-2.0 */

/* Packed rings: as a good driver uses them, and as none does. Part 1 of a ring is the driver's wish, part 2 the device's. */

#include "tests/guest/hostile/hostile.h"

#define AVAIL 0x80u
#define USED 0x8000u

/* Of the device that begin() started last; places are below twice the ring's size, and tell the laps apart. */
static struct {
        unsigned next, next_used, under_way;
        uint8_t lengths[RING_SIZE]; /* in descriptors, of requests by their ids */
} rings[RINGS];

static volatile struct packed_desc *desc_at(unsigned queue, unsigned place) {
        return (volatile struct packed_desc *) ring(queue, 0) + place % ring_sizes[queue];
}

static bool first_lap(unsigned queue, unsigned place) {
        return place < ring_sizes[queue];
}

static unsigned advance(unsigned queue, unsigned place, unsigned n) {
        return (place + n) % (2 * ring_sizes[queue]);
}

void forget_packed(void) {
        fill(rings, 0, sizeof(rings));
}

static bool is_used(unsigned queue) {
        const unsigned place = rings[queue].next_used;
        const uint16_t flags = desc_at(queue, place)->flags;

        return !(flags & AVAIL) != first_lap(queue, place) &&
               !(flags & USED) != first_lap(queue, place);
}

static void take_used(unsigned queue) {
        const unsigned n =
                rings[queue].lengths[desc_at(queue, rings[queue].next_used)->id % RING_SIZE];

        rings[queue].next_used = advance(queue, rings[queue].next_used, n);
        rings[queue].under_way -= n;
}

/* If there is no room in time, the ring overflows. */
static void wait_for_room(unsigned queue) {
        const uint64_t end = ticks() + PATIENCE_SHORT;

        while (rings[queue].under_way >= ring_sizes[queue] / 2 && ticks() < end)
                while (is_used(queue) && rings[queue].under_way > 0)
                        take_used(queue);
}

void offer_packed(const struct request *rq) {
        const unsigned q = rq->queue, first = rings[q].next, id = first % ring_sizes[q];
        struct packed_desc descs[2];
        unsigned n = 0;

        wait_for_room(q);
        if (rq->n_out)
                descs[n++] = (struct packed_desc){.address = rq->out ? rq->out : BUFFERS,
                                                  .len = rq->n_out,
                                                  .flags = rq->n_in ? D_NEXT : 0};
        if (rq->n_in || !rq->n_out)
                descs[n++] = (struct packed_desc){.address = rq->in ? rq->in : BUFFERS + 4096,
                                                  .len = rq->n_in,
                                                  .flags = D_WRITE};
        rings[q].lengths[id] = (uint8_t) n;
        rings[q].next = advance(q, first, n);
        rings[q].under_way += n;
        while (n-- > 0) { /* the first one last */
                const unsigned place = advance(q, first, n);

                descs[n].id = (uint16_t) id;
                desc_at(q, place)->address = descs[n].address;
                desc_at(q, place)->len = descs[n].len;
                desc_at(q, place)->id = descs[n].id;
                __asm__ volatile("" : : : "memory");
                desc_at(q, place)->flags =
                        (uint16_t) (descs[n].flags | (first_lap(q, place) ? AVAIL : USED));
        }
}

/* The first answer of a device that was just reset. Return: false when there is none yet. */
bool answered_packed(unsigned queue, unsigned *ret_len) {
        if (!is_used(queue))
                return false;
        *ret_len = desc_at(queue, 0)->len;
        return true;
}

/* Descriptors and wishes of any kind, in a ring of any size, as offered in either lap or in none. */
void scribble_packed(unsigned queue) {
        struct packed_desc *table = (struct packed_desc *) ring(queue, 0),
                           *indirect = (struct packed_desc *) BUFFERS;
        volatile uint16_t *wish = (volatile uint16_t *) ring(queue, 1);
        const unsigned size = 1u << below(11);
        const uint16_t owner = one_in(2) ? AVAIL : USED;

        for (unsigned i = 0; i < 64; i++) {
                struct desc d;

                scribble_descriptor(&d, size);
                table[below(size)] = (struct packed_desc){
                        .address = d.address,
                        .len = d.len,
                        .id = d.next,
                        .flags = (uint16_t) (one_in(8) ? any() : (d.flags & 7) | owner)};
                scribble_descriptor(&d, 32);
                indirect[below(32)] =
                        (struct packed_desc){.address = d.address, .len = d.len, .flags = d.flags};
        }
        if (one_in(4)) /* a request without an end */
                for (unsigned i = 0; i < size; i++)
                        table[i] = (struct packed_desc){
                                .address = BUFFERS, .len = 16, .flags = D_NEXT | owner};
        wish[0] = (uint16_t) (one_in(2) ? any() : below(size) | (any() & 0x8000));
        wish[1] = (uint16_t) (one_in(4) ? any() : below(4));
}
