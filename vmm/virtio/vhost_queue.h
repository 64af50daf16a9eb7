/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A queue that a vhost device of the host's kernel serves for a while, between the model's own turns. */

#include "vmm/vhost/vhost.h"
#include "vmm/virtio/virtio.h"

/* Features that are promises of whoever serves the rings. */
#define VIRTIO_VHOST_RING_FEATURES                                                                 \
        (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

int virtio_vhost_give(VirtioDevice *dev, unsigned queue, Vhost *vhost, unsigned ring);
void virtio_vhost_take(VirtioDevice *dev, unsigned queue, Vhost *vhost, unsigned ring);
