/* SPDX-License-Identifier: Apache-2.0 */

/* Requests as a good driver puts them: what is in them is another matter. */

#include "tests/guest/hostile/hostile.h"

static void wait_for_room(unsigned queue) {
        const volatile uint16_t *avail = (volatile uint16_t *) ring(queue, 1),
                                *used = (volatile uint16_t *) ring(queue, 2);
        uint64_t end = ticks() + PATIENCE_SHORT;

        while ((uint16_t) (avail[1] - used[1]) >= ring_sizes[queue] / 2 && ticks() < end)
                ;
}

/* Adds a request to the ring of the device that begin() started last; notify() is the caller's. */
void offer(const struct request *rq) {
        struct desc *table = (struct desc *) ring(rq->queue, 0);
        volatile uint16_t *avail = (volatile uint16_t *) ring(rq->queue, 1);
        unsigned size = ring_sizes[rq->queue];
        uint16_t index = avail[1], head = (uint16_t) (2 * index % size), n = head;

        if (rings_are_packed) {
                offer_packed(rq);
                return;
        }
        wait_for_room(rq->queue);
        if (rq->n_out)
                table[n++] = (struct desc){.address = rq->out ? rq->out : BUFFERS,
                                           .len = rq->n_out,
                                           .flags = rq->n_in ? D_NEXT : 0,
                                           .next = (uint16_t) (head + 1)};
        if (rq->n_in || !rq->n_out)
                table[n] = (struct desc){.address = rq->in ? rq->in : BUFFERS + 4096,
                                         .len = rq->n_in,
                                         .flags = D_WRITE};
        avail[2 + index % size] = head;
        __asm__ volatile("" : : : "memory");
        avail[1] = (uint16_t) (index + 1);
}

/* One request on one queue of a device that was just reset. Return: how many bytes the device says it wrote. */
unsigned serve(struct device *dev, const struct request *rq) {
        volatile uint16_t *used = (volatile uint16_t *) ring(rq->queue, 2);
        uint64_t end = ticks() + PATIENCE;
        unsigned len = 0;

        begin(dev, F_RING_PACKED);
        offer(rq);
        notify(dev, rq->queue);
        while (rings_are_packed ? !answered_packed(rq->queue, &len) : used[1] == 0)
                if (ticks() > end)
                        fail(dev, "a good request after a reset gets no answer");
        return rings_are_packed ? len : used[4] | (unsigned) used[5] << 16;
}

/* A place for the words of one request, somewhere in the buffers, full of noise. */
volatile uint8_t *scratch(unsigned bytes) {
        volatile uint8_t *at = (volatile uint8_t *) (BUFFERS + 0x10000 + 64ul * below(0x3000));

        for (unsigned i = 0; i < bytes; i++)
                at[i] = (uint8_t) any();
        return at;
}

void put32(volatile uint8_t *at, uint64_t v) {
        *(volatile uint32_t *) at = (uint32_t) v;
}

void put64(volatile uint8_t *at, uint64_t v) {
        put32(at, v);
        put32(at + 4, v >> 32);
}
