/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A split virtqueue seen from the driver's side (virtio 1.2 section 2.7), whose device is a process that is not trusted:
 * nothing that it can write is used as an index or length before it is checked against what we remember.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/mem/guest_mem.h"
#include "vmm/vhost_user/vhost_user.h"

/* Where the parts of a ring lie in its memory. */
#define VHOST_RING_DESC 0u
#define VHOST_RING_AVAIL (16u * VHOST_USER_RING_SIZE)
#define VHOST_RING_USED (VHOST_RING_AVAIL + 4096u)
#define VHOST_RING_BYTES (VHOST_RING_USED + 12288u) /* a multiple of a page */

typedef struct VhostRing {
        uint8_t *shared;      /* borrowed: VHOST_RING_BYTES that the process maps too */
        const GuestMem *mem;  /* borrowed: all buffers lie there */
        uint16_t size;        /* descriptors, a power of two */
        uint16_t avail, used; /* free-running: entries offered, entries taken back */
        uint16_t n_free;      /* descriptors */
        uint16_t first_free;
        uint16_t next[VHOST_USER_RING_SIZE]; /* of free ones and of a request's */
        uint16_t
                n_descs[VHOST_USER_RING_SIZE]; /* of the request that begins there, 0 = none does */
        uint16_t tags[VHOST_USER_RING_SIZE];
        uint32_t room[VHOST_USER_RING_SIZE];       /* bytes that the process may write */
        uint16_t offered[VHOST_USER_RING_SIZE];    /* heads, by the entries of @avail */
        uint16_t offered_at[VHOST_USER_RING_SIZE]; /* the other way round */
} VhostRing;

void vhost_ring_init(VhostRing *ring, uint8_t *shared, uint16_t size, const GuestMem *mem);
void vhost_ring_rewind(VhostRing *ring);
int vhost_ring_add(VhostRing *ring, uint16_t tag, const struct iovec *iov, unsigned n_out,
                   unsigned n_in);
int vhost_ring_take(VhostRing *ring, VhostUserDone *ret);
