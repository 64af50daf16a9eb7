/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/virtio.h"

#include "base/log.h"

/* What device models share: their half of the contract with the transport. */

/** virtio_device_lock() - keep vCPUs out of registers and queues; for work that ends on the device's loop */
void virtio_device_lock(VirtioDevice *dev) {
        pthread_mutex_lock(dev->lock);
}

/** virtio_device_unlock() - undo virtio_device_lock() */
void virtio_device_unlock(VirtioDevice *dev) {
        pthread_mutex_unlock(dev->lock);
}

/**
 * virtio_device_pop() - take the next request of @queue, or put the device in need of a reset
 *
 * Return: 0; VIRTQ_E_EMPTY; VIRTQ_E_BROKEN.
 */
int virtio_device_pop(VirtioDevice *dev, unsigned queue, VirtqChain *ret) {
        int r = virtq_pop(dev->queues + queue, ret);

        if (r == VIRTQ_E_BROKEN)
                virtio_device_broken(dev, dev->queues[queue].broken);
        return r;
}

/**
 * virtio_device_drain() - pass the requests of @queue to @handle until there is none, then wait for notification
 * @handle:  pushes the request at once or keeps what it needs of it; the chain is borrowed for the call
 *
 * At most one ring of requests a call, so that a guest that never stops offering cannot keep the loop or the lock;
 * the rest follows in the loop's next turn.
 */
void virtio_device_drain(VirtioDevice *dev, unsigned queue, VirtioChainFn handle) {
        VirtQueue *q = dev->queues + queue;
        unsigned budget = q->size;
        VirtqChain chain;
        int r = 0;

        do {
                virtq_stop_notify(q);
                while (budget > 0) {
                        r = virtio_device_pop(dev, queue, &chain);
                        if (r != 0)
                                break;
                        handle(dev, queue, &chain);
                        budget--;
                }
                /* A driver that offers and takes back again must not keep us either. */
        } while (r == VIRTQ_E_EMPTY && virtq_want_notify(q) && --budget > 0);

        if (budget == 0)
                virtio_device_kick(dev, queue);
        virtio_device_interrupt(dev, queue);
}

/** virtio_device_interrupt() - tell the driver what was pushed to @queue, if it wants to hear it */
void virtio_device_interrupt(VirtioDevice *dev, unsigned queue) {
        if (virtq_should_interrupt(dev->queues + queue))
                dev->transport_ops->interrupt_queue(dev->transport, queue);
}

/** virtio_device_kick() - have notify() called for @queue in a later turn of the loop; any thread */
void virtio_device_kick(VirtioDevice *dev, unsigned queue) {
        dev->transport_ops->kick(dev->transport, queue);
}

/** virtio_device_config_changed() - the device configuration space reads differently from now on */
void virtio_device_config_changed(VirtioDevice *dev) {
        dev->config_generation++;
        dev->transport_ops->interrupt_config(dev->transport);
}

/**
 * virtio_device_broken() - stop serving the driver until it resets the device (section 2.1.2)
 * @cause:  the driver's mistake in words
 */
void virtio_device_broken(VirtioDevice *dev, const char *cause) {
        log_debug("%s: the guest's driver broke the protocol: %s", dev->ops->name, cause);
        dev->transport_ops->needs_reset(dev->transport);
}

/** virtio_device_reset_done() - after VIRTIO_E_PENDING: no guest buffer is in use any more */
void virtio_device_reset_done(VirtioDevice *dev) {
        dev->transport_ops->reset_done(dev->transport);
}

/** virtio_device_rested() - the host works on no request any more; on the loop, of any use only after busy() */
void virtio_device_rested(VirtioDevice *dev) {
        dev->transport_ops->rested(dev->transport);
}

/** virtio_device_hand_over() - the host's kernel serves @queue from now on; see VirtioTransportOps */
int virtio_device_hand_over(VirtioDevice *dev, unsigned queue, VirtioQueueFds *ret) {
        return dev->transport_ops->hand_over(dev->transport, queue, ret);
}

/** virtio_device_take_back() - the model serves @queue again, after virtq_follow() said where it stands */
void virtio_device_take_back(VirtioDevice *dev, unsigned queue) {
        dev->transport_ops->take_back(dev->transport, queue);
}

/**
 * virtio_device_limit_queues() - what the owner says of how long queues may be; before the device is on a bus
 * @sizes: of the first @n queues, powers of two up to VIRTQ_SIZE_MAX; 0: as the device has it
 */
void virtio_device_limit_queues(VirtioDevice *dev, const uint16_t *sizes, unsigned n) {
        for (unsigned i = 0; i < n && i < dev->n_queues; i++)
                if (sizes[i] != 0)
                        dev->queue_size_max[i] = sizes[i];
}

/** virtio_device_has_no_more() - VirtioOps.snapshot of a device that is its features and queues */
void virtio_device_has_no_more(VirtioDevice *dev, Snapshot *s) {
}
