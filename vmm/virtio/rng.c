/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vmm/virtio/devices.h"

/* The entropy device (virtio 1.2 section 5.4): fills buffers from the host kernel's generator. */

#define RNG_QUEUE_SIZE 8u
/* Bytes per request: bounds the time that one takes; drivers ask for far less and must cope with less than asked. */
#define RNG_REQUEST_MAX 4096u

static void rng_fill(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        const struct iovec *in = chain->iov + chain->n_out;
        uint32_t written = 0;

        for (unsigned i = 0; i < chain->n_in && written < RNG_REQUEST_MAX; i++) {
                size_t len = MIN(in[i].iov_len, (size_t) (RNG_REQUEST_MAX - written));
                /* The host is past its own boot, so this does not wait; should it have to, the guest gets less. */
                ssize_t n = getrandom(in[i].iov_base, len, GRND_NONBLOCK);

                if (n < 0)
                        break;
                written += (uint32_t) n;
                if ((size_t) n < len)
                        break;
        }
        virtq_push(dev->queues + queue, chain->head, written);
}

static void rng_notify(VirtioDevice *dev, unsigned queue) {
        virtio_device_drain(dev, queue, rng_fill);
}

static VirtioDevice *rng_free(VirtioDevice *dev) {
        free(dev);
        return NULL;
}

static const VirtioOps rng_ops = {
        .name = "virtio-rng",
        .type = VIRTIO_TYPE_RNG,
        .notify = rng_notify,
        .snapshot = virtio_device_has_no_more,
        .free = rng_free,
};

/** virtio_rng_new() - an entropy device. Return: 0; -ENOMEM. */
int virtio_rng_new(VirtioDevice **ret) {
        VirtioDevice *dev;

        dev = calloc(1, sizeof(*dev));
        if (!dev)
                return -ENOMEM;
        dev->ops = &rng_ops;
        dev->n_queues = 1;
        dev->queue_size_max[0] = RNG_QUEUE_SIZE;

        *ret = dev;
        return 0;
}
