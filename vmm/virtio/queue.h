/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A virtqueue, device side, split or packed (virtio 1.2 sections 2.7 and 2.8). All of it lives in memory that a hostile
 * guest writes while we read: each descriptor is copied once and then judged, loops are bounded by the ring's size, and a
 * guest's mistake is an answer that the device turns into NEEDS_RESET.
 * Not thread-safe: the device's lock covers it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/mem/guest_mem.h"
#include "vmm/snapshot/snapshot.h"

#define VIRTQ_SIZE_MAX 1024u
/* Buffers of one request; a longer chain is the guest's mistake. */
#define VIRTQ_CHAIN_MAX 256u

/* Feature bits of the ring (chapter 6). */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_RING_PACKED (UINT64_C(1) << 34)

enum {
        VIRTQ_E_EMPTY = 1, /* nothing is offered */
        VIRTQ_E_BROKEN,    /* the driver broke the ring; it must reset the device */
};

typedef struct VirtqFormat VirtqFormat;

/* Since the device exists. */
typedef struct VirtqCounts {
        uint64_t requests;
        uint64_t bytes_out, bytes_in; /* offered to the device, written by it */
} VirtqCounts;

typedef struct VirtQueue {
        /* What the driver sets before it enables the queue. */
        uint16_t size; /* 1..size_max; a power of two in a split queue */
        /* Of a packed queue: the ring, and what driver and device want to hear of. */
        gpa_t desc_gpa, avail_gpa, used_gpa;
        bool enabled;

        /* In effect while enabled. */
        const VirtqFormat *format; /* static */
        const GuestMem *mem;       /* borrowed */
        uint8_t *desc; /* host views, borrowed from @mem, checked for size and alignment */
        uint8_t *avail;
        uint8_t *used;
        bool indirect; /* features */
        bool event_idx;
        /* Free-running in a split queue; in a packed one they go around the ring twice, so that they tell the laps apart. */
        uint16_t next_avail;     /* index of the next entry to take */
        uint16_t next_used;      /* index of the next entry to give back */
        uint16_t signalled_used; /* next_used at the last interrupt decision */
        VirtqCounts counts;      /* survive a reset */
        const char *broken;      /* the driver's mistake in words, NULL while sound; static text */
} VirtQueue;

/* One request: @n_out buffers to read, followed by @n_in buffers to write, all inside guest memory. */
typedef struct VirtqChain {
        uint32_t head; /* what virtq_push() is told; below the queue's size if that is split */
        uint16_t n_out, n_in;
        uint32_t out_bytes, in_bytes;
        struct iovec iov[VIRTQ_CHAIN_MAX];
} VirtqChain;

int virtq_enable(VirtQueue *queue, const GuestMem *mem, uint64_t features);
void virtq_reset(VirtQueue *queue, uint16_t size);
bool virtq_size_is_good(uint16_t size, uint64_t features);
int virtq_pop(VirtQueue *queue, VirtqChain *ret);
void virtq_unpop(VirtQueue *queue, uint32_t head);
void virtq_push(VirtQueue *queue, uint32_t head, uint32_t written);
bool virtq_is_under_way(const VirtQueue *queue, uint32_t head);
bool virtq_should_interrupt(VirtQueue *queue);
void virtq_stop_notify(VirtQueue *queue);
bool virtq_want_notify(VirtQueue *queue);
void virtq_follow(VirtQueue *queue, uint16_t next_avail);
void virtq_snapshot(VirtQueue *queue, const GuestMem *mem, uint64_t features, Snapshot *s);
