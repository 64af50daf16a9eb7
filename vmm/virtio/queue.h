/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The split virtqueue, device side (virtio 1.2 section 2.7). All of it lives in memory that a hostile guest writes
 * while we read: each descriptor is copied once and then judged, loops are bounded by the ring's size, and a guest's
 * mistake is an answer that the device turns into NEEDS_RESET.
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

enum {
        VIRTQ_E_EMPTY = 1, /* nothing is offered */
        VIRTQ_E_BROKEN,    /* the driver broke the ring; it must reset the device */
};

/* Since the device exists. */
typedef struct VirtqCounts {
        uint64_t requests;
        uint64_t bytes_out, bytes_in; /* offered to the device, written by it */
} VirtqCounts;

typedef struct VirtQueue {
        /* What the driver sets before it enables the queue. */
        uint16_t size; /* power of two, 1..size_max */
        gpa_t desc_gpa, avail_gpa, used_gpa;
        bool enabled;

        /* In effect while enabled. */
        const GuestMem *mem; /* borrowed */
        uint8_t *desc;       /* host views, borrowed from @mem, checked for size and alignment */
        uint8_t *avail;
        uint8_t *used;
        bool indirect; /* features */
        bool event_idx;
        uint16_t next_avail;     /* free-running index of the next entry to take */
        uint16_t next_used;      /* free-running index of the next entry to give back */
        uint16_t signalled_used; /* next_used at the last interrupt decision */
        VirtqCounts counts;      /* survive a reset */
        const char *broken;      /* the driver's mistake in words, NULL while sound; static text */
} VirtQueue;

/* One request: @n_out buffers to read, followed by @n_in buffers to write, all inside guest memory. */
typedef struct VirtqChain {
        uint16_t head;
        uint16_t n_out, n_in;
        uint32_t out_bytes, in_bytes;
        struct iovec iov[VIRTQ_CHAIN_MAX];
} VirtqChain;

int virtq_enable(VirtQueue *queue, const GuestMem *mem, bool indirect, bool event_idx);
void virtq_reset(VirtQueue *queue, uint16_t size);
int virtq_pop(VirtQueue *queue, VirtqChain *ret);
void virtq_unpop(VirtQueue *queue);
void virtq_push(VirtQueue *queue, uint16_t head, uint32_t written);
bool virtq_should_interrupt(VirtQueue *queue);
void virtq_stop_notify(VirtQueue *queue);
bool virtq_want_notify(VirtQueue *queue);
void virtq_follow(VirtQueue *queue, uint16_t next_avail);
void virtq_snapshot(VirtQueue *queue, const GuestMem *mem, bool indirect, bool event_idx,
                    Snapshot *s);
