/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/queue.h"

#include <assert.h>
#include <stddef.h>

#include "base/checked.h"
#include "vmm/virtio/queue_internal.h"

/*
 * What both formats share. The rings are reached through host views that virtq_enable() checked once: guest memory is
 * never unmapped while the machine exists.
 */

/** virtq_broken() - the driver made a mistake: no request is taken until the reset. Return: VIRTQ_E_BROKEN. */
int virtq_broken(VirtQueue *queue, const char *cause) {
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

/** virtq_size_is_good() - whether a queue of so many entries can be, with the @features that were accepted */
bool virtq_size_is_good(uint16_t size, uint64_t features) {
        return size != 0 && size <= VIRTQ_SIZE_MAX &&
               ((features & VIRTIO_F_RING_PACKED) || (size & (size - 1)) == 0);
}

/**
 * virtq_enable() - start using the rings at the addresses that the driver stored in @queue
 * @mem:       borrowed while enabled
 * @features:  those that were accepted, of which the ring's count
 *
 * Return: 0; VIRTQ_E_BROKEN when a ring is misaligned, outside memory, or its size is none.
 */
int virtq_enable(VirtQueue *queue, const GuestMem *mem, uint64_t features) {
        int r;

        if (!virtq_size_is_good(queue->size, features))
                return virtq_broken(queue, "queue size is not a power of two in range");
        queue->format = features & VIRTIO_F_RING_PACKED ? &virtq_packed : &virtq_split;
        queue->mem = mem;
        queue->indirect = features & VIRTIO_F_INDIRECT_DESC;
        queue->event_idx = features & VIRTIO_F_EVENT_IDX;
        r = queue->format->enable(queue);
        queue->enabled = r == 0;
        return r;
}

/* ---- requests ---- */

/** virtq_copy_desc() - the one copy of a descriptor; @table was checked to have an entry @index */
VirtqDesc virtq_copy_desc(const VirtQueue *queue, const uint8_t *table, uint32_t index) {
        const unsigned flags_at = queue->format->flags_at;
        const uint8_t *p = table + VIRTQ_DESC_SIZE * (size_t) index;
        uint8_t copy[VIRTQ_DESC_SIZE];

        memcpy(copy, p, sizeof(copy));
        /* Keeps the compiler from going back to guest memory, which may have changed, for a later use. */
        __asm__ volatile("" : : "r"(copy) : "memory");
        return (VirtqDesc){
                .address = le64_load(copy),
                .len = le32_load(copy + 8),
                .flags = le16_load(copy + flags_at),
                .other = le16_load(copy + (flags_at ^ 2)),
        };
}

/** virtq_add_buffer() - what @desc describes becomes the next buffer of @chain. Return: 0; VIRTQ_E_BROKEN. */
int virtq_add_buffer(VirtQueue *queue, const VirtqDesc *desc, VirtqChain *chain) {
        bool in = desc->flags & VIRTQ_DESC_WRITE;
        uint32_t *bytes = in ? &chain->in_bytes : &chain->out_bytes;
        unsigned n = chain->n_out + chain->n_in;
        void *host;

        if (!in && chain->n_in > 0)
                return virtq_broken(queue, "buffer to read follows one to write");
        if (n >= VIRTQ_CHAIN_MAX)
                return virtq_broken(queue, "request has too many buffers");
        if (desc->len == 0)
                return 0;
        host = guest_mem_ptr(queue->mem, desc->address, desc->len);
        if (!host)
                return virtq_broken(queue, "buffer lies outside memory");
        if (!ADD_CHECKED(*bytes, desc->len, bytes))
                return virtq_broken(queue, "request is longer than 4 GiB");
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

/**
 * virtq_find_table() - the indirect table that @desc describes
 * @ret_n: entries in it
 *
 * Return: 0; VIRTQ_E_BROKEN.
 */
int virtq_find_table(VirtQueue *queue, const VirtqDesc *desc, const uint8_t **ret,
                     uint32_t *ret_n) {
        if (!queue->indirect)
                return virtq_broken(queue, "indirect descriptor was not negotiated");
        if (desc->flags & VIRTQ_DESC_NEXT)
                return virtq_broken(queue, "indirect descriptor has a successor");
        if (desc->len == 0 || desc->len % VIRTQ_DESC_SIZE != 0)
                return virtq_broken(queue,
                                    "indirect table's length is no multiple of a descriptor");
        *ret = guest_mem_ptr(queue->mem, desc->address, desc->len);
        if (!*ret)
                return virtq_broken(queue, "indirect table lies outside memory");
        *ret_n = desc->len / VIRTQ_DESC_SIZE;
        return 0;
}

/**
 * virtq_pop() - take the next request
 * @ret:  filled on success; its buffers point into guest memory
 *
 * Return: 0; VIRTQ_E_EMPTY; VIRTQ_E_BROKEN, with the cause in queue->broken, until the queue is reset.
 */
int virtq_pop(VirtQueue *queue, VirtqChain *ret) {
        int r;

        assert(queue->enabled);

        if (queue->broken)
                return VIRTQ_E_BROKEN;
        ret->n_out = ret->n_in = 0;
        ret->out_bytes = ret->in_bytes = 0;
        r = queue->format->take(queue, ret);
        if (r == 0) {
                queue->counts.requests++;
                queue->counts.bytes_out += ret->out_bytes;
        }
        return r;
}

/**
 * virtq_unpop() - undo a virtq_pop(): the request is offered once more, and read anew
 * @head:  of the last chain that was taken and not undone yet
 */
void virtq_unpop(VirtQueue *queue, uint32_t head) {
        queue->format->untake(queue, head);
}

/**
 * virtq_push() - give a request back
 * @head:     of the chain that virtq_pop() returned
 * @written:  bytes written to its first buffers to write
 */
void virtq_push(VirtQueue *queue, uint32_t head, uint32_t written) {
        assert(queue->enabled);

        queue->counts.bytes_in += written;
        queue->format->push(queue, head, written);
}

/** virtq_is_under_way() - whether @head can be that of a request that was taken; for one that a snapshot had */
bool virtq_is_under_way(const VirtQueue *queue, uint32_t head) {
        return queue->enabled && queue->format->is_under_way(queue, head);
}

/* ---- interrupts and notifications ---- */

/** virtq_should_interrupt() - whether the driver wants to hear of what was pushed since the last call */
bool virtq_should_interrupt(VirtQueue *queue) {
        return queue->enabled && queue->format->should_interrupt(queue);
}

/** virtq_stop_notify() - ask the driver not to notify while we look at the ring anyway; only a hint */
void virtq_stop_notify(VirtQueue *queue) {
        queue->format->stop_notify(queue);
}

/**
 * virtq_want_notify() - ask the driver to notify for the next request
 *
 * Return: true when a request slipped in meanwhile, which may have come without a notification.
 */
bool virtq_want_notify(VirtQueue *queue) {
        return queue->format->want_notify(queue);
}

/* ---- who else serves the queue ---- */

/**
 * virtq_follow() - go on where somebody else stopped to serve the queue, which is a split one
 * @next_avail:  the next entry that was not taken; all taken ones were given back
 *
 * How many were given back stands in the ring, where a hostile driver may have changed it: virtq_pop() then finds more
 * requests under way than there can be.
 */
void virtq_follow(VirtQueue *queue, uint16_t next_avail) {
        assert(queue->enabled && queue->format == &virtq_split);

        queue->next_avail = next_avail;
        queue->next_used = virtq_load(queue->used + 2, __ATOMIC_ACQUIRE);
        queue->signalled_used = queue->next_used;
}

/**
 * virtq_snapshot() - save or restore a queue
 * @mem, @features: as for virtq_enable(), which an enabled queue goes through when it is restored
 *
 * @queue->size is the largest that it may have when it is restored.
 */
void virtq_snapshot(VirtQueue *queue, const GuestMem *mem, uint64_t features, Snapshot *s) {
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
        if (size > queue->size || !virtq_size_is_good(size, features)) {
                snapshot_refuse(s, "a queue has %u entries, not up to %u", size, queue->size);
                return;
        }
        queue->size = size;
        if (enabled && virtq_enable(queue, mem, features) != 0)
                snapshot_refuse(s, "a queue cannot be: %s", queue->broken);
        else if (enabled && !queue->format->is_sound(queue))
                snapshot_refuse(s, "a queue of %u entries cannot be at %u, %u and %u", size,
                                queue->next_avail, queue->next_used, queue->signalled_used);
        if (is_broken)
                queue->broken = "it was when it was saved";
}
