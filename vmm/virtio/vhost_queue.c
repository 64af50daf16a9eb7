/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "vmm/virtio/vhost_queue.h"

static VhostRingSetup ring_of(const VirtQueue *queue, const VirtioQueueFds *fds) {
        return (VhostRingSetup){
                .size = queue->size,
                .base = queue->next_used, /* what was taken and not given back is taken again */
                .desc = queue->desc,
                .avail = queue->avail,
                .used = queue->used,
                .kick_fd = fds->kick_fd,
                .call_fd = fds->call_fd,
        };
}

/**
 * virtio_vhost_give() - have ring @ring of @vhost serve @queue as soon as it is attached
 *
 * On the loop, with the device's lock. The model has forgotten what it took. Return: 0; negative errno, and the queue is
 * the model's as before.
 */
int virtio_vhost_give(VirtioDevice *dev, unsigned queue, Vhost *vhost, unsigned ring) {
        VirtioQueueFds fds;
        VhostRingSetup where;
        int r;

        r = virtio_device_hand_over(dev, queue, &fds);
        if (r < 0)
                return r;
        where = ring_of(dev->queues + queue, &fds);
        r = vhost_ring_set(vhost, ring, &where);
        if (r < 0)
                virtio_device_take_back(dev, queue);
        return r;
}

/** virtio_vhost_take() - undo virtio_vhost_give(), after the ring was detached: the model goes on where the kernel stopped */
void virtio_vhost_take(VirtioDevice *dev, unsigned queue, Vhost *vhost, unsigned ring) {
        VirtQueue *q = dev->queues + queue;
        uint16_t base;
        int r;

        r = vhost_ring_base(vhost, ring, &base);
        if (r < 0) {
                log_debug("%s: ask where queue %u stands: errno %d, ignoring", dev->ops->name,
                          queue, -r);
                base = q->next_used;
        }
        virtq_follow(q, base);
        virtio_device_take_back(dev, queue);
}
