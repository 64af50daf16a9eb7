/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A virtqueue whose memory is the input, all of it: rings, descriptors, indirect tables. Besides not crashing, each buffer
 * that comes out must lie in guest memory, and a queue must end by being empty or broken.
 *
 * Input: 1 byte of settings (ring size 2^(n%11), packed, event index, indirect), then guest memory from address 0.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/virtio/queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEM_BYTES 0x100000u
/* What the input fills; above it lies what the device writes, but for a packed ring's descriptors. */
#define INPUT_BYTES 0x8000u
#define AVAIL 0u
#define DESC 0x40u /* overlaps the available ring of large queues, which is a guest's right */
#define USED INPUT_BYTES

static void check_chain(const GuestMem *mem, const VirtqChain *chain) {
        uint64_t out = 0, in = 0;

        assert(chain->n_out + chain->n_in <= VIRTQ_CHAIN_MAX);
        for (unsigned i = 0; i < (unsigned) chain->n_out + chain->n_in; i++) {
                const uint8_t *p = chain->iov[i].iov_base;

                assert(p >= mem->base && chain->iov[i].iov_len > 0);
                assert(chain->iov[i].iov_len <= MEM_BYTES - (size_t) (p - mem->base));
                *(i < chain->n_out ? &out : &in) += chain->iov[i].iov_len;
        }
        assert(out == chain->out_bytes && in == chain->in_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static GuestMem *mem;
        static VirtqChain chain;
        uint64_t features = 0;
        VirtQueue queue;
        unsigned n = 0;

        if (!mem && guest_mem_new(MEM_BYTES, &mem) < 0)
                abort();
        if (size < 1)
                return 0;
        memset(mem->base, 0, INPUT_BYTES + 0x4000);
        memcpy(mem->base, data + 1, MIN(size - 1, (size_t) INPUT_BYTES));

        virtq_reset(&queue, (uint16_t) (1u << (data[0] % 11)));
        queue.avail_gpa = AVAIL;
        queue.desc_gpa = DESC;
        queue.used_gpa = USED;
        if (data[0] & 0x40)
                features |= VIRTIO_F_INDIRECT_DESC;
        if (data[0] & 0x80)
                features |= VIRTIO_F_EVENT_IDX;
        if (data[0] & 0x20)
                features |= VIRTIO_F_RING_PACKED;
        if (virtq_enable(&queue, mem, features) != 0)
                abort();
        while (virtq_pop(&queue, &chain) == 0) {
                check_chain(mem, &chain);
                assert(virtq_is_under_way(&queue, chain.head));
                if (chain.in_bytes % 3 == 1) { /* it is not wanted at once */
                        virtq_unpop(&queue, chain.head);
                        if (virtq_pop(&queue, &chain) != 0)
                                abort();
                }
                virtq_push(&queue, chain.head, chain.in_bytes);
                (void) virtq_should_interrupt(&queue);
                virtq_stop_notify(&queue);
                /* Nobody offers more meanwhile. */
                n++;
                assert(n <= queue.size);
        }
        (void) virtq_want_notify(&queue);
        return 0;
}
