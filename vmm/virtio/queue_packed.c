/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>

#include "vmm/virtio/queue_internal.h"

/*
 * The packed virtqueue (virtio 1.2 section 2.8): one ring, in which the driver offers descriptors and the device writes used
 * ones over them. Layout, all little endian:
 *   descriptor   address u64, length u32, buffer id u16, flags u16
 *   suppression  offset and lap u16, flags u16; one of the driver's, and one of the device's, to tell each other
 *
 * Who owns a descriptor is in two of its flags, whose meaning changes with each lap around the ring. A place on the ring
 * is a number below twice its size here, which has the lap in it: the first one, with the wrap counter at one, is below
 * the size. A request takes as many descriptors as it has, and giving it back frees as many, whatever they were; so @head
 * of a chain is their number in the upper half, and the driver's buffer id, which may be anything, in the lower.
 */

#define DESC_AVAIL 0x80u
#define DESC_USED 0x8000u

#define EVENT_DISABLE 0x1u
#define EVENT_DESC 0x2u /* the offset says for which descriptor */
#define EVENT_FLAGS 0x3u
#define EVENT_FIRST_LAP 0x8000u /* in the offset */
#define EVENT_SIZE 4u

/* ---- places ---- */

static bool on_first_lap(const VirtQueue *queue, uint16_t place) {
        return place < queue->size;
}

static uint16_t index_at(const VirtQueue *queue, uint16_t place) {
        return on_first_lap(queue, place) ? place : (uint16_t) (place - queue->size);
}

static uint16_t advance(const VirtQueue *queue, uint16_t place, unsigned n) {
        return (uint16_t) ((place + n) % (2u * queue->size));
}

/* From @from forward to @to, less than two laps. */
static unsigned distance(const VirtQueue *queue, uint16_t from, uint16_t to) {
        return (to + 2u * queue->size - from) % (2u * queue->size);
}

static unsigned n_under_way(const VirtQueue *queue) {
        return distance(queue, queue->next_used, queue->next_avail);
}

static uint8_t *desc_at(const VirtQueue *queue, uint16_t place) {
        return queue->desc + VIRTQ_DESC_SIZE * (size_t) index_at(queue, place);
}

static int enable(VirtQueue *queue) {
        if (queue->desc_gpa % 16 != 0 || queue->avail_gpa % 4 != 0 || queue->used_gpa % 4 != 0)
                return virtq_broken(queue, "ring is misaligned");
        queue->desc = guest_mem_ptr(queue->mem, queue->desc_gpa,
                                    VIRTQ_DESC_SIZE * (uint64_t) queue->size);
        queue->avail = guest_mem_ptr(queue->mem, queue->avail_gpa, EVENT_SIZE);
        queue->used = guest_mem_ptr(queue->mem, queue->used_gpa, EVENT_SIZE);
        if (!queue->desc || !queue->avail || !queue->used)
                return virtq_broken(queue, "ring lies outside memory");
        return 0;
}

/* ---- requests ---- */

static bool is_offered(const VirtQueue *queue) {
        const bool first = on_first_lap(queue, queue->next_avail);
        const uint16_t flags = virtq_load(desc_at(queue, queue->next_avail) + virtq_packed.flags_at,
                                          __ATOMIC_ACQUIRE);

        return !!(flags & DESC_AVAIL) == first && !!(flags & DESC_USED) != first;
}

/* The entries of a table are one request in their order; of their flags only the direction means something. */
static int add_table(VirtQueue *queue, const VirtqDesc *desc, VirtqChain *chain) {
        const uint8_t *table = NULL;
        uint32_t n = 0;
        int r;

        r = virtq_find_table(queue, desc, &table, &n);
        if (r == 0 && n > VIRTQ_CHAIN_MAX)
                r = virtq_broken(queue, "request has too many buffers");
        for (uint32_t i = 0; r == 0 && i < n; i++) {
                const VirtqDesc entry = virtq_copy_desc(queue, table, i);

                r = virtq_add_buffer(queue, &entry, chain);
        }
        return r;
}

static int take(VirtQueue *queue, VirtqChain *ret) {
        const unsigned room = queue->size - n_under_way(queue);
        uint16_t place = queue->next_avail;

        if (!is_offered(queue))
                return VIRTQ_E_EMPTY;
        if (room == 0)
                return virtq_broken(queue, "more descriptors under way than the ring has");
        /* The driver hands the first one over last, so that the others are there. */
        for (unsigned n = 1; n <= room; n++) {
                const VirtqDesc desc = virtq_copy_desc(queue, queue->desc, index_at(queue, place));
                int r;

                if ((desc.flags & VIRTQ_DESC_INDIRECT) && n > 1)
                        return virtq_broken(queue, "indirect descriptor is not alone");
                r = desc.flags & VIRTQ_DESC_INDIRECT ? add_table(queue, &desc, ret)
                                                     : virtq_add_buffer(queue, &desc, ret);
                if (r != 0)
                        return r;
                place = advance(queue, place, 1);
                if (desc.flags & VIRTQ_DESC_NEXT)
                        continue;
                ret->head = n << 16 | desc.other;
                queue->next_avail = place;
                return 0;
        }
        return virtq_broken(queue, "request has more descriptors than the ring");
}

static unsigned n_of(uint32_t head) {
        return head >> 16;
}

static bool is_under_way(const VirtQueue *queue, uint32_t head) {
        return n_of(head) >= 1 && n_of(head) <= n_under_way(queue);
}

static void untake(VirtQueue *queue, uint32_t head) {
        assert(is_under_way(queue, head));

        queue->next_avail = advance(queue, queue->next_avail, 2u * queue->size - n_of(head));
}

static void push(VirtQueue *queue, uint32_t head, uint32_t written) {
        uint8_t *entry = desc_at(queue, queue->next_used);
        uint16_t flags =
                on_first_lap(queue, queue->next_used) ? (uint16_t) (DESC_AVAIL | DESC_USED) : 0;

        unsigned unsignalled = distance(queue, queue->signalled_used, queue->next_used);

        assert(is_under_way(queue, head));

        if (written > 0)
                flags |= VIRTQ_DESC_WRITE;
        le32_store(entry + 8, written);
        le16_store(entry + 12, (uint16_t) head);
        virtq_store(entry + virtq_packed.flags_at, flags, __ATOMIC_RELEASE);
        queue->next_used = advance(queue, queue->next_used, n_of(head));
        /* More than a lap without a decision is as good as one. */
        unsignalled += n_of(head);
        if (unsignalled > queue->size)
                queue->signalled_used = advance(queue, queue->next_used, queue->size);
}

static bool is_sound(const VirtQueue *queue) {
        const unsigned end = 2u * queue->size;

        return queue->next_avail < end && queue->next_used < end && queue->signalled_used < end &&
               n_under_way(queue) <= queue->size &&
               distance(queue, queue->signalled_used, queue->next_used) <= queue->size;
}

/* ---- interrupts and notifications ---- */

/* Section 2.8.10: the driver wants to hear of all, of nothing, or of one place on the ring. */
static bool should_interrupt(VirtQueue *queue) {
        const uint16_t old = queue->signalled_used;
        const unsigned pushed = distance(queue, old, queue->next_used);
        uint16_t flags, where, event;

        if (pushed == 0)
                return false;
        queue->signalled_used = queue->next_used;

        /* The driver publishes its wish, then looks at the ring; we publish in the ring, then look at its wish. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        flags = virtq_load(queue->avail + 2, __ATOMIC_ACQUIRE) & EVENT_FLAGS;
        if (flags != EVENT_DESC || !queue->event_idx)
                return flags != EVENT_DISABLE;
        where = virtq_load(queue->avail, __ATOMIC_RELAXED);
        event = where & (uint16_t) ~EVENT_FIRST_LAP;
        if (event >= queue->size || pushed >= queue->size)
                return true;
        if (!(where & EVENT_FIRST_LAP))
                event = (uint16_t) (event + queue->size);
        return distance(queue, old, event) < pushed;
}

static void stop_notify(VirtQueue *queue) {
        if (!queue->event_idx)
                virtq_store(queue->used + 2, EVENT_DISABLE, __ATOMIC_RELAXED);
}

static bool want_notify(VirtQueue *queue) {
        const uint16_t lap = on_first_lap(queue, queue->next_avail) ? EVENT_FIRST_LAP : 0;

        if (queue->event_idx)
                virtq_store(queue->used, (uint16_t) (index_at(queue, queue->next_avail) | lap),
                            __ATOMIC_RELAXED);
        virtq_store(queue->used + 2, queue->event_idx ? EVENT_DESC : 0, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return is_offered(queue);
}

const VirtqFormat virtq_packed = {
        .flags_at = 14,
        .enable = enable,
        .take = take,
        .untake = untake,
        .push = push,
        .should_interrupt = should_interrupt,
        .stop_notify = stop_notify,
        .want_notify = want_notify,
        .is_sound = is_sound,
        .is_under_way = is_under_way,
};
