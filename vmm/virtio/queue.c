/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/checked.h"
#include "base/le.h"

/*
 * Layout, all little endian:
 *   descriptor  address u64, length u32, flags u16, next u16
 *   available   flags u16, index u16, ring u16[size], used_event u16
 *   used        flags u16, index u16, ring {id u32, length u32}[size], avail_event u16
 *
 * The rings are reached through host views that virtq_enable() checked once: guest memory is never unmapped while the
 * machine exists. Indices are read and written atomically, as a vCPU does the same on the other side.
 */

#define DESC_SIZE 16u
#define DESC_NEXT 0x1u
#define DESC_WRITE 0x2u
#define DESC_INDIRECT 0x4u

#define AVAIL_NO_INTERRUPT 0x1u
#define USED_NO_NOTIFY 0x1u

typedef struct Desc {
        gpa_t address;
        uint32_t len;
        uint16_t flags, next;
} Desc;

static uint16_t load16(const uint8_t *p, int order) {
        const uint16_t *v = (const uint16_t *) (const void *) p;

        return le16toh(order == __ATOMIC_ACQUIRE ? __atomic_load_n(v, __ATOMIC_ACQUIRE)
                                                 : __atomic_load_n(v, __ATOMIC_RELAXED));
}

static void store16(uint8_t *p, uint16_t value, int order) {
        uint16_t *v = (uint16_t *) (void *) p;

        if (order == __ATOMIC_RELEASE)
                __atomic_store_n(v, htole16(value), __ATOMIC_RELEASE);
        else
                __atomic_store_n(v, htole16(value), __ATOMIC_RELAXED);
}

static uint16_t avail_index(const VirtQueue *queue) {
        return load16(queue->avail + 2, __ATOMIC_ACQUIRE);
}

static uint8_t *avail_event(const VirtQueue *queue) {
        return queue->used + 4 + 8 * (size_t) queue->size;
}

static const uint8_t *used_event(const VirtQueue *queue) {
        return queue->avail + 4 + 2 * (size_t) queue->size;
}

static int broken(VirtQueue *queue, const char *cause) {
        queue->broken = cause;
        return VIRTQ_E_BROKEN;
}

/**
 * virtq_reset() - forget everything: disabled, empty, sound
 * @size:  ring size to offer, which the driver may lower
 */
void virtq_reset(VirtQueue *queue, uint16_t size) {
        *queue = (VirtQueue){.size = size, .counts = queue->counts};
}

/**
 * virtq_enable() - start using the rings at the addresses that the driver stored in @queue
 * @mem:        borrowed while enabled
 * @indirect:   VIRTIO_F_INDIRECT_DESC was accepted
 * @event_idx:  VIRTIO_F_EVENT_IDX was accepted
 *
 * Return: 0; VIRTQ_E_BROKEN when a ring is misaligned, outside memory, or its size is none.
 */
int virtq_enable(VirtQueue *queue, const GuestMem *mem, bool indirect, bool event_idx) {
        uint16_t size = queue->size;

        if (size == 0 || size > VIRTQ_SIZE_MAX || (size & (size - 1)) != 0)
                return broken(queue, "queue size is not a power of two in range");
        if (queue->desc_gpa % 16 != 0 || queue->avail_gpa % 2 != 0 || queue->used_gpa % 4 != 0)
                return broken(queue, "ring is misaligned");

        queue->desc = guest_mem_ptr(mem, queue->desc_gpa, DESC_SIZE * (uint64_t) size);
        queue->avail = guest_mem_ptr(mem, queue->avail_gpa, 6 + 2 * (uint64_t) size);
        queue->used = guest_mem_ptr(mem, queue->used_gpa, 6 + 8 * (uint64_t) size);
        if (!queue->desc || !queue->avail || !queue->used)
                return broken(queue, "ring lies outside memory");

        queue->mem = mem;
        queue->indirect = indirect;
        queue->event_idx = event_idx;
        queue->enabled = true;
        return 0;
}

/* The one copy of a descriptor; @table was checked to have an entry @index. */
static Desc copy_desc(const uint8_t *table, uint32_t index) {
        const uint8_t *p = table + DESC_SIZE * (size_t) index;
        uint8_t copy[DESC_SIZE];

        memcpy(copy, p, sizeof(copy));
        /* Keeps the compiler from going back to guest memory, which may have changed, for a later use. */
        __asm__ volatile("" : : "r"(copy) : "memory");
        return (Desc){
                .address = le64_load(copy),
                .len = le32_load(copy + 8),
                .flags = le16_load(copy + 12),
                .next = le16_load(copy + 14),
        };
}

static int add_buffer(VirtQueue *queue, const Desc *desc, VirtqChain *chain) {
        bool in = desc->flags & DESC_WRITE;
        uint32_t *bytes = in ? &chain->in_bytes : &chain->out_bytes;
        unsigned n = chain->n_out + chain->n_in;
        void *host;

        if (!in && chain->n_in > 0)
                return broken(queue, "buffer to read follows one to write");
        if (n >= VIRTQ_CHAIN_MAX)
                return broken(queue, "request has too many buffers");
        if (desc->len == 0)
                return 0;
        host = guest_mem_ptr(queue->mem, desc->address, desc->len);
        if (!host)
                return broken(queue, "buffer lies outside memory");
        if (!ADD_CHECKED(*bytes, desc->len, bytes))
                return broken(queue, "request is longer than 4 GiB");
        /* A driver does not run code from a buffer that it has given away, so the time of taking it is as good as that
         * of writing it. */
        if (in)
                guest_mem_written(queue->mem, desc->address, desc->len);

        chain->iov[n] = (struct iovec){.iov_base = host, .iov_len = desc->len};
        if (in)
                chain->n_in++;
        else
                chain->n_out++;
        return 0;
}

static int walk_indirect(VirtQueue *queue, const Desc *desc, VirtqChain *chain) {
        uint32_t n = desc->len / DESC_SIZE;
        const uint8_t *table;
        uint32_t index = 0;

        if (!queue->indirect)
                return broken(queue, "indirect descriptor was not negotiated");
        if (desc->flags & DESC_NEXT)
                return broken(queue, "indirect descriptor has a successor");
        if (n == 0 || desc->len % DESC_SIZE != 0)
                return broken(queue, "indirect table's length is no multiple of a descriptor");
        table = guest_mem_ptr(queue->mem, desc->address, desc->len);
        if (!table)
                return broken(queue, "indirect table lies outside memory");

        for (uint32_t seen = 0; seen < n && seen <= VIRTQ_CHAIN_MAX; seen++) {
                Desc entry = copy_desc(table, index);
                int r;

                if (entry.flags & DESC_INDIRECT)
                        return broken(queue, "indirect table holds an indirect descriptor");
                r = add_buffer(queue, &entry, chain);
                if (r != 0 || !(entry.flags & DESC_NEXT))
                        return r;
                if (entry.next >= n)
                        return broken(queue, "indirect successor is outside its table");
                index = entry.next;
        }
        return broken(queue, "indirect descriptors form a loop");
}

static int walk(VirtQueue *queue, VirtqChain *chain) {
        uint16_t index = chain->head;

        for (unsigned seen = 0; seen < queue->size; seen++) {
                Desc desc = copy_desc(queue->desc, index);
                int r;

                if (desc.flags & DESC_INDIRECT)
                        return walk_indirect(queue, &desc, chain);
                r = add_buffer(queue, &desc, chain);
                if (r != 0 || !(desc.flags & DESC_NEXT))
                        return r;
                if (desc.next >= queue->size)
                        return broken(queue, "successor is outside the ring");
                index = desc.next;
        }
        return broken(queue, "descriptors form a loop");
}

/**
 * virtq_pop() - take the next request
 * @ret:  filled on success; its buffers point into guest memory
 *
 * Return: 0; VIRTQ_E_EMPTY; VIRTQ_E_BROKEN, with the cause in queue->broken, until the queue is reset.
 */
int virtq_pop(VirtQueue *queue, VirtqChain *ret) {
        uint16_t offered, head;
        int r;

        assert(queue->enabled);

        if (queue->broken)
                return VIRTQ_E_BROKEN;
        offered = (uint16_t) (avail_index(queue) - queue->next_avail);
        if (offered == 0)
                return VIRTQ_E_EMPTY;
        if (offered > queue->size)
                return broken(queue, "available index ran ahead of the ring");
        if ((uint16_t) (queue->next_avail - queue->next_used) >= queue->size)
                return broken(queue, "more requests under way than the ring has descriptors");

        head = load16(queue->avail + 4 + 2 * (size_t) (queue->next_avail & (queue->size - 1)),
                      __ATOMIC_RELAXED);
        if (head >= queue->size)
                return broken(queue, "available entry is outside the ring");
        queue->next_avail++;

        ret->head = head;
        ret->n_out = ret->n_in = 0;
        ret->out_bytes = ret->in_bytes = 0;
        queue->counts.requests++;
        r = walk(queue, ret);
        queue->counts.bytes_out += ret->out_bytes;
        return r;
}

/** virtq_unpop() - undo the last virtq_pop() that succeeded: the request is offered once more, and read anew */
void virtq_unpop(VirtQueue *queue) {
        queue->next_avail--;
}

/**
 * virtq_push() - give a request back
 * @head:     of the chain that virtq_pop() returned
 * @written:  bytes written to its first buffers to write
 */
void virtq_push(VirtQueue *queue, uint16_t head, uint32_t written) {
        uint8_t *entry = queue->used + 4 + 8 * (size_t) (queue->next_used & (queue->size - 1));

        assert(queue->enabled);

        le32_store(entry, head);
        le32_store(entry + 4, written);
        queue->next_used++;
        queue->counts.bytes_in += written;
        store16(queue->used + 2, queue->next_used, __ATOMIC_RELEASE);
}

/**
 * virtq_should_interrupt() - whether the driver wants to hear of what was pushed since the last call
 *
 * Section 2.7.7.2 and, with the event index, 2.7.10: the driver names the entry that it waits for.
 */
bool virtq_should_interrupt(VirtQueue *queue) {
        uint16_t old = queue->signalled_used, new = queue->next_used, event;

        if (old == new)
                return false;
        queue->signalled_used = new;

        /* The driver publishes its wish, then looks at the index; we publish the index, then look at its wish. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!queue->event_idx)
                return !(load16(queue->avail, __ATOMIC_RELAXED) & AVAIL_NO_INTERRUPT);
        event = load16(used_event(queue), __ATOMIC_RELAXED);
        return (uint16_t) (new - event - 1) < (uint16_t) (new - old);
}

/** virtq_stop_notify() - ask the driver not to notify while we look at the ring anyway; only a hint */
void virtq_stop_notify(VirtQueue *queue) {
        if (!queue->event_idx)
                store16(queue->used, USED_NO_NOTIFY, __ATOMIC_RELAXED);
}

/**
 * virtq_want_notify() - ask the driver to notify for the next request
 *
 * Return: true when a request slipped in meanwhile, which may have come without a notification.
 */
bool virtq_want_notify(VirtQueue *queue) {
        if (queue->event_idx)
                store16(avail_event(queue), queue->next_avail, __ATOMIC_RELAXED);
        else
                store16(queue->used, 0, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return avail_index(queue) != queue->next_avail;
}

/**
 * virtq_follow() - go on where somebody else stopped to serve the queue
 * @next_avail:  the next entry that was not taken; all taken ones were given back
 *
 * How many were given back stands in the ring, where a hostile driver may have changed it: virtq_pop() then finds more
 * requests under way than there can be.
 */
void virtq_follow(VirtQueue *queue, uint16_t next_avail) {
        assert(queue->enabled);

        queue->next_avail = next_avail;
        queue->next_used = load16(queue->used + 2, __ATOMIC_ACQUIRE);
        queue->signalled_used = queue->next_used;
}

/**
 * virtq_snapshot() - save or restore a queue
 * @mem, @indirect, @event_idx: as for virtq_enable(), which an enabled queue goes through when it is restored
 *
 * @queue->size is the largest that it may have when it is restored.
 */
void virtq_snapshot(VirtQueue *queue, const GuestMem *mem, bool indirect, bool event_idx,
                    Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_UINT(VirtQueue, desc_gpa),  SNAPSHOT_UINT(VirtQueue, avail_gpa),
                SNAPSHOT_UINT(VirtQueue, used_gpa),  SNAPSHOT_UINT(VirtQueue, next_avail),
                SNAPSHOT_UINT(VirtQueue, next_used), SNAPSHOT_UINT(VirtQueue, signalled_used),
        };
        bool enabled = queue->enabled, is_broken = queue->broken != NULL;
        uint16_t size = queue->size;

        snapshot_members(s, fields, queue);
        snapshot_u16(s, &size);
        snapshot_bool(s, &enabled);
        snapshot_bool(s, &is_broken);
        if (!snapshot_restored(s))
                return;
        if (size == 0 || size > queue->size || (size & (size - 1)) != 0) {
                snapshot_refuse(s, "a queue has %u entries, not up to %u", size, queue->size);
                return;
        }
        queue->size = size;
        if (enabled && virtq_enable(queue, mem, indirect, event_idx) != 0)
                snapshot_refuse(s, "a queue cannot be: %s", queue->broken);
        if (is_broken)
                queue->broken = "it was when it was saved";
}
