/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "vmm/virtio/queue_internal.h"

/*
 * The split virtqueue (virtio 1.2 section 2.7). Layout, all little endian:
 *   descriptor  address u64, length u32, flags u16, next u16
 *   available   flags u16, index u16, ring u16[size], used_event u16
 *   used        flags u16, index u16, ring {id u32, length u32}[size], avail_event u16
 *
 * Indices are read and written atomically, as a vCPU does the same on the other side.
 */

#define AVAIL_NO_INTERRUPT 0x1u
#define USED_NO_NOTIFY 0x1u

static uint16_t avail_index(const VirtQueue *queue) {
        return virtq_load(queue->avail + 2, __ATOMIC_ACQUIRE);
}

static uint8_t *avail_event(const VirtQueue *queue) {
        return queue->used + 4 + 8 * (size_t) queue->size;
}

static const uint8_t *used_event(const VirtQueue *queue) {
        return queue->avail + 4 + 2 * (size_t) queue->size;
}

static int enable(VirtQueue *queue) {
        const uint16_t size = queue->size;

        if (queue->desc_gpa % 16 != 0 || queue->avail_gpa % 2 != 0 || queue->used_gpa % 4 != 0)
                return virtq_broken(queue, "ring is misaligned");
        queue->desc = guest_mem_ptr(queue->mem, queue->desc_gpa, VIRTQ_DESC_SIZE * (uint64_t) size);
        queue->avail = guest_mem_ptr(queue->mem, queue->avail_gpa, 6 + 2 * (uint64_t) size);
        queue->used = guest_mem_ptr(queue->mem, queue->used_gpa, 6 + 8 * (uint64_t) size);
        if (!queue->desc || !queue->avail || !queue->used)
                return virtq_broken(queue, "ring lies outside memory");
        return 0;
}

/* ---- requests ---- */

static int walk_indirect(VirtQueue *queue, const VirtqDesc *desc, VirtqChain *chain) {
        const uint8_t *table = NULL;
        uint32_t index = 0, n = 0;
        int r;

        r = virtq_find_table(queue, desc, &table, &n);
        if (r != 0)
                return r;
        for (uint32_t seen = 0; seen < n && seen <= VIRTQ_CHAIN_MAX; seen++) {
                VirtqDesc entry = virtq_copy_desc(queue, table, index);

                if (entry.flags & VIRTQ_DESC_INDIRECT)
                        return virtq_broken(queue, "indirect table holds an indirect descriptor");
                r = virtq_add_buffer(queue, &entry, chain);
                if (r != 0 || !(entry.flags & VIRTQ_DESC_NEXT))
                        return r;
                if (entry.other >= n)
                        return virtq_broken(queue, "indirect successor is outside its table");
                index = entry.other;
        }
        return virtq_broken(queue, "indirect descriptors form a loop");
}

static int walk(VirtQueue *queue, VirtqChain *chain) {
        uint32_t index = chain->head;

        for (unsigned seen = 0; seen < queue->size; seen++) {
                VirtqDesc desc = virtq_copy_desc(queue, queue->desc, index);
                int r;

                if (desc.flags & VIRTQ_DESC_INDIRECT)
                        return walk_indirect(queue, &desc, chain);
                r = virtq_add_buffer(queue, &desc, chain);
                if (r != 0 || !(desc.flags & VIRTQ_DESC_NEXT))
                        return r;
                if (desc.other >= queue->size)
                        return virtq_broken(queue, "successor is outside the ring");
                index = desc.other;
        }
        return virtq_broken(queue, "descriptors form a loop");
}

static int take(VirtQueue *queue, VirtqChain *ret) {
        const uint16_t offered = (uint16_t) (avail_index(queue) - queue->next_avail);
        uint16_t head;

        if (offered == 0)
                return VIRTQ_E_EMPTY;
        if (offered > queue->size)
                return virtq_broken(queue, "available index ran ahead of the ring");
        if ((uint16_t) (queue->next_avail - queue->next_used) >= queue->size)
                return virtq_broken(queue, "more requests under way than the ring has descriptors");

        head = virtq_load(queue->avail + 4 + 2 * (size_t) (queue->next_avail & (queue->size - 1)),
                          __ATOMIC_RELAXED);
        if (head >= queue->size)
                return virtq_broken(queue, "available entry is outside the ring");
        queue->next_avail++;
        ret->head = head;
        return walk(queue, ret);
}

static void untake(VirtQueue *queue, uint32_t head) {
        queue->next_avail--;
}

static void push(VirtQueue *queue, uint32_t head, uint32_t written) {
        uint8_t *entry = queue->used + 4 + 8 * (size_t) (queue->next_used & (queue->size - 1));

        le32_store(entry, head);
        le32_store(entry + 4, written);
        queue->next_used++;
        virtq_store(queue->used + 2, queue->next_used, __ATOMIC_RELEASE);
}

static bool is_under_way(const VirtQueue *queue, uint32_t head) {
        return head < queue->size;
}

/* virtq_pop() sees what cannot be. */
static bool is_sound(const VirtQueue *queue) {
        return true;
}

/* ---- interrupts and notifications ---- */

/* Section 2.7.7.2 and, with the event index, 2.7.10: the driver names the entry that it waits for. */
static bool should_interrupt(VirtQueue *queue) {
        uint16_t old = queue->signalled_used, new = queue->next_used, event;

        if (old == new)
                return false;
        queue->signalled_used = new;

        /* The driver publishes its wish, then looks at the index; we publish the index, then look at its wish. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!queue->event_idx)
                return !(virtq_load(queue->avail, __ATOMIC_RELAXED) & AVAIL_NO_INTERRUPT);
        event = virtq_load(used_event(queue), __ATOMIC_RELAXED);
        return (uint16_t) (new - event - 1) < (uint16_t) (new - old);
}

static void stop_notify(VirtQueue *queue) {
        if (!queue->event_idx)
                virtq_store(queue->used, USED_NO_NOTIFY, __ATOMIC_RELAXED);
}

static bool want_notify(VirtQueue *queue) {
        if (queue->event_idx)
                virtq_store(avail_event(queue), queue->next_avail, __ATOMIC_RELAXED);
        else
                virtq_store(queue->used, 0, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return avail_index(queue) != queue->next_avail;
}

const VirtqFormat virtq_split = {
        .flags_at = 12,
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
