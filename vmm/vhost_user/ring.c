/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vhost_user/ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/le.h"

#define DESC_NEXT 0x1u
#define DESC_WRITE 0x2u
#define DESC_LEN 16u
#define RING_HEADER_LEN 4u /* flags and index */

static void clear_headers(VhostRing *ring) {
        memset(ring->shared + VHOST_RING_AVAIL, 0, RING_HEADER_LEN);
        memset(ring->shared + VHOST_RING_USED, 0, RING_HEADER_LEN);
}

/**
 * vhost_ring_init() - an empty ring of @size descriptors
 * @size:  a power of two, at most VHOST_USER_RING_SIZE
 */
void vhost_ring_init(VhostRing *ring, uint8_t *shared, uint16_t size, const GuestMem *mem) {
        *ring = (VhostRing){.shared = shared, .mem = mem, .size = size, .n_free = size};
        for (unsigned i = 0; i < size; i++)
                ring->next[i] = (uint16_t) (i + 1);
        clear_headers(ring);
}

/* Return: false for what is not RAM, which the process does not have. */
static bool address_of(const GuestMem *mem, const struct iovec *iov, gpa_t *ret) {
        const uint8_t *host = iov->iov_base;

        for (unsigned i = 0; i < mem->n_regions; i++) {
                const GuestRegion *region = &mem->regions[i];

                if (host >= region->host && host < region->host + region->size_bytes) {
                        *ret = region->gpa + (gpa_t) (host - region->host);
                        return true;
                }
        }
        return false;
}

static void publish(VhostRing *ring, uint16_t head) {
        uint8_t *avail = ring->shared + VHOST_RING_AVAIL;

        le16_store(avail + 4 + 2 * (ring->avail % ring->size), head);
        ring->offered[ring->avail % ring->size] = head;
        ring->offered_at[head] = ring->avail;
        ring->avail++;
        __atomic_store_n((uint16_t *) (void *) (avail + 2), htole16(ring->avail), __ATOMIC_RELEASE);
}

/**
 * vhost_ring_rewind() - offer what has not ended once more, in the same order, as the first requests of the ring
 *
 * After the process has stopped, for it or another to begin anew.
 */
void vhost_ring_rewind(VhostRing *ring) {
        uint16_t heads[VHOST_USER_RING_SIZE], n = 0, at = (uint16_t) (ring->avail - ring->size);

        for (; at != ring->avail; at++) {
                uint16_t head = ring->offered[at % ring->size];

                if (ring->n_descs[head] > 0 && ring->offered_at[head] == at)
                        heads[n++] = head;
        }
        ring->avail = ring->used = 0;
        clear_headers(ring);
        for (unsigned i = 0; i < n; i++)
                publish(ring, heads[i]);
}

/**
 * vhost_ring_add() - offer a request of @n_out buffers to read and @n_in to write, in guest memory
 *
 * Return: 0; VHOST_USER_E_FULL when there is no room now; -EINVAL for a request without buffers with too many ever,
 * or with one outside RAM.
 */
int vhost_ring_add(VhostRing *ring, uint16_t tag, const struct iovec *iov, unsigned n_out,
                   unsigned n_in) {
        unsigned n = n_out + n_in;
        uint16_t head = ring->first_free, index = head;
        uint32_t room = 0;

        if (n == 0 || n > ring->size)
                return -EINVAL;
        if (n > ring->n_free)
                return VHOST_USER_E_FULL;
        for (unsigned i = 0; i < n; i++) {
                uint8_t *desc = ring->shared + VHOST_RING_DESC + DESC_LEN * index;
                unsigned flags = (i >= n_out ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0);

                gpa_t address;

                if (!address_of(ring->mem, &iov[i], &address))
                        return -EINVAL;
                le64_store(desc, address);
                le32_store(desc + 8, (uint32_t) iov[i].iov_len);
                le16_store(desc + 12, (uint16_t) flags);
                le16_store(desc + 14, i + 1 < n ? ring->next[index] : 0);
                if (i >= n_out)
                        room += (uint32_t) iov[i].iov_len;
                index = ring->next[index];
        }
        ring->first_free = index;
        ring->n_free = (uint16_t) (ring->n_free - n);
        ring->n_descs[head] = (uint16_t) n;
        ring->tags[head] = tag;
        ring->room[head] = room;
        publish(ring, head);
        return 0;
}

static void release(VhostRing *ring, uint16_t head) {
        uint16_t last = head;

        for (unsigned i = 1; i < ring->n_descs[head]; i++)
                last = ring->next[last];
        ring->next[last] = ring->first_free;
        ring->first_free = head;
        ring->n_free = (uint16_t) (ring->n_free + ring->n_descs[head]);
        ring->n_descs[head] = 0;
}

/**
 * vhost_ring_take() - the next request that the process has ended
 *
 * Return: 0; VHOST_USER_E_NONE; -EPROTO when the process claims what cannot be.
 */
int vhost_ring_take(VhostRing *ring, VhostUserDone *ret) {
        const uint8_t *used = ring->shared + VHOST_RING_USED, *entry;
        uint16_t index = le16toh(
                __atomic_load_n((const uint16_t *) (const void *) (used + 2), __ATOMIC_ACQUIRE));
        uint32_t head, written;

        if (index == ring->used)
                return VHOST_USER_E_NONE;
        entry = used + 4 + 8 * (ring->used % ring->size);
        head = le32toh(__atomic_load_n((const uint32_t *) (const void *) entry, __ATOMIC_RELAXED));
        written = le32toh(
                __atomic_load_n((const uint32_t *) (const void *) (entry + 4), __ATOMIC_RELAXED));
        if (head >= ring->size || ring->n_descs[head] == 0 || written > ring->room[head])
                return -EPROTO;
        ring->used++;
        *ret = (VhostUserDone){.tag = ring->tags[head], .written = written};
        release(ring, (uint16_t) head);
        return 0;
}
