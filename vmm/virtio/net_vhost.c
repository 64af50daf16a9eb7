/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vmm/virtio/net_internal.h"
#include "vmm/virtio/vhost_queue.h"

/*
 * Pairs of queues that the host's kernel serves (vhost-net): one vhost device a pair, attached to the pair's TAP queue.
 * The control queue stays ours, and so do pairs in all states in which the kernel would do the wrong thing: while the
 * machine is suspended, and while the cable is out, when the kernel would keep frames that a wire loses.
 *
 * Headers of the guest's frames go to the TAP interface unseen, whose driver checks them.
 */

static bool wants_kernel(const VirtioNet *net, unsigned pair) {
        const VirtQueue *queues = net->dev.queues + 2 * (size_t) pair;

        return net->started && net->dev.running && !net->suspended && !net->unplugged &&
               net->net->link_up && pair < net->n_active && queues[0].enabled && queues[1].enabled;
}

static void detach(VirtioNet *net, unsigned pair) {
        for (unsigned ring = 0; ring < 2; ring++) {
                int r = vhost_net_attach(net->vhosts[pair], ring, -1);

                if (r < 0)
                        log_debug("virtio-net: detach ring %u of pair %u: errno %d, ignoring", ring,
                                  pair, -r);
        }
}

static int attach(VirtioNet *net, unsigned pair) {
        int fd = net->net->ops->tap_fd(net->net, pair);

        for (unsigned ring = 0; ring < 2; ring++) {
                int r = vhost_net_attach(net->vhosts[pair], ring, fd);

                if (r < 0) {
                        detach(net, pair);
                        return r;
                }
        }
        return 0;
}

static int give_queues(VirtioNet *net, unsigned pair) {
        Vhost *vhost = net->vhosts[pair];
        int r;

        r = virtio_vhost_give(&net->dev, 2 * pair, vhost, 0);
        if (r < 0)
                return r;
        r = virtio_vhost_give(&net->dev, 2 * pair + 1, vhost, 1);
        if (r < 0)
                virtio_device_take_back(&net->dev, 2 * pair);
        return r;
}

static int start_pair(VirtioNet *net, unsigned pair) {
        Vhost *vhost = net->vhosts[pair];
        int r;

        virtio_net_stop_receiving(net, pair);
        r = vhost_begin(vhost, net->dev.accepted & vhost_features(vhost));
        if (r < 0)
                return r;
        r = give_queues(net, pair);
        if (r < 0)
                return r;
        r = attach(net, pair);
        if (r < 0) {
                virtio_vhost_take(&net->dev, 2 * pair, vhost, 0);
                virtio_vhost_take(&net->dev, 2 * pair + 1, vhost, 1);
                return r;
        }
        net->in_kernel[pair] = true;
        /* What was offered while nobody listened. */
        virtio_device_kick(&net->dev, 2 * pair);
        virtio_device_kick(&net->dev, 2 * pair + 1);
        return 0;
}

static void stop_pair(VirtioNet *net, unsigned pair) {
        Vhost *vhost = net->vhosts[pair];

        detach(net, pair);
        virtio_vhost_take(&net->dev, 2 * pair, vhost, 0);
        virtio_vhost_take(&net->dev, 2 * pair + 1, vhost, 1);
        net->in_kernel[pair] = false;
}

/** virtio_net_update_kernel() - give pairs to the host's kernel or take them back, as things stand; nothing without vhost */
void virtio_net_update_kernel(VirtioNet *net) {
        for (unsigned i = 0; net->vhosts && i < net->net->n_pairs; i++) {
                bool wanted = wants_kernel(net, i);
                int r = 0;

                if (net->in_kernel[i] && !wanted)
                        stop_pair(net, i);
                else if (!net->in_kernel[i] && wanted)
                        r = start_pair(net, i);
                if (r < 0) {
                        log_error("vhost-net: start pair %u: %s", i, strerror(-r));
                        virtio_device_broken(&net->dev, "the host's kernel refuses the queues");
                }
        }
}

static void on_error(void *userdata, unsigned ring) {
        VirtioNet *net = userdata;

        virtio_device_lock(&net->dev);
        if (net->dev.running) {
                virtio_device_broken(&net->dev,
                                     "the host's kernel cannot use what is in a network queue");
                virtio_net_update_kernel(net);
        }
        virtio_device_unlock(&net->dev);
}

/* ---- reset: the kernel is stopped on the loop ---- */

static bool any_in_kernel(const VirtioNet *net) {
        for (unsigned i = 0; net->vhosts && i < net->net->n_pairs; i++)
                if (net->in_kernel[i])
                        return true;
        return false;
}

/** virtio_net_reset_kernel() - after the device stopped running. Return: 0; VIRTIO_E_PENDING when the loop has to end it. */
int virtio_net_reset_kernel(VirtioNet *net) {
        if (!any_in_kernel(net))
                return 0;
        net->resetting = true;
        (void) eventfd_write(net->wake_fd, 1); /* fails only when one is pending already */
        return VIRTIO_E_PENDING;
}

static void woken(void *userdata, int fd, uint32_t events) {
        VirtioNet *net = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        virtio_device_lock(&net->dev);
        if (net->resetting) {
                net->resetting = false;
                virtio_net_update_kernel(net);
                virtio_device_reset_done(&net->dev);
        }
        virtio_device_unlock(&net->dev);
}

/* ---- life ---- */

static uint64_t common_features(const VirtioNet *net) {
        uint64_t features = UINT64_MAX;

        for (unsigned i = 0; i < net->net->n_pairs; i++)
                features &= vhost_features(net->vhosts[i]);
        return features;
}

/**
 * virtio_net_init_kernel() - let @vhosts, one a pair, serve the pairs; of a device that is being made
 * @vhosts:  array and elements are consumed on success
 *
 * Return: 0; -EOPNOTSUPP when the kernel is too old for virtio 1; negative errno.
 */
int virtio_net_init_kernel(VirtioNet *net, Vhost **vhosts, Loop *loop) {
        int r;

        if (!net->net->ops->tap_fd)
                return -EINVAL;
        net->vhosts = vhosts;
        net->dev.withheld = (NET_F_MRG_RXBUF | VIRTIO_VHOST_RING_FEATURES) & ~common_features(net);
        r = net->dev.withheld & VIRTIO_F_VERSION_1 ? -EOPNOTSUPP : 0;
        if (r >= 0) {
                net->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                r = net->wake_fd < 0 ? -errno : 0;
        }
        if (r >= 0)
                r = loop_add_fd(loop, net->wake_fd, EPOLLIN, woken, net, &net->wake);
        if (r < 0) {
                net->vhosts = NULL;
                net->wake_fd = fd_close(net->wake_fd);
                return r;
        }
        for (unsigned i = 0; i < net->net->n_pairs; i++)
                vhost_set_handler(vhosts[i], on_error, net);
        return 0;
}

/** virtio_net_deinit_kernel() - the kernel lets go of everything */
void virtio_net_deinit_kernel(VirtioNet *net) {
        for (unsigned i = 0; net->vhosts && i < net->net->n_pairs; i++)
                (void) vhost_free(net->vhosts[i]);
        free(net->vhosts);
        (void) loop_remove(net->wake);
        (void) fd_close(net->wake_fd);
}
