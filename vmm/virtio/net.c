/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/le.h"
#include "vmm/virtio/devices.h"
#include "vmm/virtio/net_internal.h"

/*
 * The network device (virtio 1.2 section 5.1). Queues 2n and 2n + 1 receive and transmit for pair n. Frames go between
 * the backend and guest memory without a copy; only the header of a frame from the guest is copied and cut down to what
 * was negotiated, because the host's kernel would honour more. Everything but reset runs on the device's loop.
 */

#define NET_QUEUE_SIZE 256u

#define HEADER_NEEDS_CSUM 0x1u
#define GSO_NONE 0u
#define GSO_TCPV4 1u
#define GSO_TCPV6 4u
#define GSO_UDP_L4 5u
#define GSO_ECN 0x80u

/* ---- frames from the guest ---- */

static uint64_t gso_feature(uint8_t type) {
        switch (type) {
        case GSO_TCPV4:
                return NET_F_HOST_TSO4;
        case GSO_TCPV6:
                return NET_F_HOST_TSO6;
        case GSO_UDP_L4:
                return NET_F_HOST_USO;
        default:
                return 0;
        }
}

/* Whether the driver may send what @header says. */
static bool header_allowed(const VirtioDevice *dev, uint8_t *header) {
        uint8_t type = header[NET_HEADER_GSO_TYPE];

        if (!virtio_device_has(dev, NET_F_CSUM))
                header[NET_HEADER_FLAGS] = 0;
        header[NET_HEADER_FLAGS] &= HEADER_NEEDS_CSUM;
        le16_store(header + NET_HEADER_NUM_BUFFERS, 0);
        if (type == GSO_NONE)
                return true;
        if ((type & GSO_ECN) && !virtio_device_has(dev, NET_F_HOST_ECN))
                return false;
        return virtio_device_has(dev, gso_feature(type & (uint8_t) ~GSO_ECN));
}

/* Return: -EAGAIN when the frame must be tried again; 0 when it was sent or is lost. */
static int transmit(VirtioNet *net, unsigned pair, const VirtqChain *chain) {
        struct iovec iov[NET_IOV_MAX];
        uint8_t header[NET_HEADER_LEN];
        unsigned n;
        int r;

        if (net->unplugged || chain->out_bytes <= NET_HEADER_LEN ||
            chain->out_bytes > NET_FRAME_MAX)
                return 0;
        iov_gather(chain->iov, chain->n_out, 0, header, sizeof(header));
        if (!header_allowed(&net->dev, header))
                return 0;
        iov[0] = (struct iovec){.iov_base = header, .iov_len = sizeof(header)};
        n = iov_slice(chain->iov, chain->n_out, NET_HEADER_LEN, chain->out_bytes - NET_HEADER_LEN,
                      iov + 1);
        r = net->net->ops->send(net->net, pair, iov, n + 1);
        return r == -EAGAIN ? r : 0;
}

/* As virtio_device_drain(), but a frame may find the backend full; it is offered again when that changed. */
static void transmit_all(VirtioNet *net, unsigned pair) {
        unsigned queue = 2 * pair + 1, budget = NET_BATCH;
        VirtQueue *q = net->dev.queues + queue;
        VirtqChain chain;
        int r;

        virtq_stop_notify(q);
        for (; budget > 0; budget--) {
                r = virtio_device_pop(&net->dev, queue, &chain);
                if (r == VIRTQ_E_EMPTY && virtq_want_notify(q)) {
                        virtq_stop_notify(q);
                        continue;
                }
                if (r != 0)
                        break;
                if (transmit(net, pair, &chain) == -EAGAIN) {
                        virtq_unpop(q, chain.head);
                        break;
                }
                virtq_push(q, chain.head, 0);
        }
        if (budget == 0)
                virtio_device_kick(&net->dev, queue);
        virtio_device_interrupt(&net->dev, queue);
}

/* ---- what the backend tells ---- */

static void on_readable(void *frontend, unsigned pair) {
        VirtioNet *net = frontend;

        virtio_device_lock(&net->dev);
        virtio_net_receive(net, pair);
        virtio_device_unlock(&net->dev);
}

static void on_writable(void *frontend, unsigned pair) {
        VirtioNet *net = frontend;

        virtio_device_kick(&net->dev, 2 * pair + 1);
}

static void update_link(VirtioNet *net) {
        uint16_t status = net->net->link_up && !net->unplugged ? NET_STATUS_LINK_UP : 0;

        if (le16_load(net->config + NET_CONFIG_STATUS) == status)
                return;
        le16_store(net->config + NET_CONFIG_STATUS, status);
        virtio_net_update_kernel(net);
        virtio_device_config_changed(&net->dev);
}

static void on_link_changed(void *frontend) {
        VirtioNet *net = frontend;

        virtio_device_lock(&net->dev);
        update_link(net);
        virtio_device_unlock(&net->dev);
}

/**
 * virtio_net_set_link() - plug or pull the cable of the network card @dev; frames are lost while it is out
 *
 * On the loop. A card whose backend is gone stays without a link.
 */
void virtio_net_set_link(VirtioDevice *dev, bool up) {
        VirtioNet *net = (VirtioNet *) dev;

        virtio_device_lock(dev);
        net->unplugged = !up;
        update_link(net);
        virtio_device_unlock(dev);
}

/* ---- what the transport asks ---- */

/* The driver is ready: the backend learns what it accepted. */
static void start(VirtioNet *net) {
        const NetOps *ops = net->net->ops;

        net->started = true;
        net->n_active = 1;
        if (virtio_net_apply_offloads(net, net->dev.accepted) < 0 ||
            (ops->set_pairs && ops->set_pairs(net->net, 1) < 0))
                virtio_device_broken(&net->dev, "the backend refuses what was negotiated");
}

static void net_notify(VirtioDevice *dev, unsigned queue) {
        VirtioNet *net = (VirtioNet *) dev;

        if (!net->started)
                start(net);
        update_link(net); /* of a card that was restored where the link is another */
        virtio_net_update_kernel(net);
        if (!dev->running)
                return;
        if (virtio_net_is_control(dev, queue)) {
                virtio_device_drain(dev, queue, virtio_net_control);
                virtio_net_update_kernel(
                        net); /* a command without room for its answer breaks the device */
        } else if (queue / 2 >= net->net->n_pairs)
                return;
        else if (queue % 2 == 0)
                virtio_net_receive(net, queue / 2);
        else
                transmit_all(net, queue / 2);
}

static int net_reset(VirtioDevice *dev) {
        VirtioNet *net = (VirtioNet *) dev;

        net->started = false;
        virtio_net_forget_buffers(net);
        return virtio_net_reset_kernel(net);
}

static void net_suspend(VirtioDevice *dev) {
        VirtioNet *net = (VirtioNet *) dev;

        net->suspended = true;
        virtio_net_update_kernel(net);
        virtio_net_return_buffers(net);
}

static void net_resume(VirtioDevice *dev) {
        VirtioNet *net = (VirtioNet *) dev;

        net->suspended = false;
        virtio_net_update_kernel(net);
        for (unsigned i = 0; net->started && i < net->net->n_pairs; i++)
                virtio_device_kick(dev, 2 * i);
}

static void net_snapshot(VirtioDevice *dev, Snapshot *s) {
        VirtioNet *net = (VirtioNet *) dev;
        SnapshotField fields[] = {
                SNAPSHOT_ARRAY(VirtioNet, config),
                SNAPSHOT_BOOL(VirtioNet, started),
                SNAPSHOT_BOOL(VirtioNet, unplugged),
                SNAPSHOT_RANGE(VirtioNet, n_active, 1, net->net->n_pairs),
                SNAPSHOT_UINT(VirtioNet, offloads),
        };
        const NetOps *ops = net->net->ops;

        if (net->vhosts)
                snapshot_refuse(s, "virtio-net is served by the host's kernel");
        snapshot_expect(s, "pairs of queues", net->net->n_pairs);
        snapshot_members(s, fields, net);
        if (!snapshot_restored(s))
                return;
        le16_store(net->config + NET_CONFIG_PAIRS, (uint16_t) net->net->n_pairs);
        le16_store(net->config + NET_CONFIG_MTU, net->net->mtu);
        if (net->offloads & ~(dev->accepted & NET_GUEST_OFFLOADS))
                snapshot_refuse(s, "offloads are on that were not negotiated");
        else if (net->started && (virtio_net_apply_offloads(net, net->offloads) < 0 ||
                                  (ops->set_pairs && ops->set_pairs(net->net, net->n_active) < 0)))
                snapshot_refuse(s, "the network's backend refuses what was negotiated");
}

static VirtioDevice *net_free_device(VirtioDevice *dev) {
        VirtioNet *net = (VirtioNet *) dev;

        virtio_net_deinit_kernel(net);
        for (unsigned i = 0; i < net->net->n_pairs; i++)
                free(net->rx[i].spill);
        net_free(net->net);
        free(net);
        return NULL;
}

static const VirtioOps net_ops = {
        .name = "virtio-net",
        .type = VIRTIO_TYPE_NET,
        .notify = net_notify,
        .reset = net_reset,
        .suspend = net_suspend,
        .resume = net_resume,
        .snapshot = net_snapshot,
        .free = net_free_device,
};

/* ---- life ---- */

static uint64_t features(const NetDev *net, const VirtioNetConfig *config) {
        uint64_t f = NET_F_MAC | NET_F_STATUS | NET_F_CTRL_VQ | NET_F_CTRL_MAC_ADDR;

        if (config->mergeable)
                f |= NET_F_MRG_RXBUF;
        if (config->packed)
                f |= VIRTIO_F_RING_PACKED;
        if (net->mtu > 0)
                f |= NET_F_MTU;
        if (net->n_pairs > 1)
                f |= NET_F_MQ;
        if (!(net->offloads & NET_OFFLOAD_CSUM))
                return f;
        f |= NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_CTRL_GUEST_OFFLOADS;
        if (net->offloads & NET_OFFLOAD_TSO4)
                f |= NET_F_HOST_TSO4 | NET_F_GUEST_TSO4;
        if (net->offloads & NET_OFFLOAD_TSO6)
                f |= NET_F_HOST_TSO6 | NET_F_GUEST_TSO6;
        if (net->offloads & NET_OFFLOAD_ECN)
                f |= NET_F_HOST_ECN | NET_F_GUEST_ECN;
        if (net->offloads & NET_OFFLOAD_USO)
                f |= NET_F_HOST_USO | NET_F_GUEST_USO4 | NET_F_GUEST_USO6;
        return f;
}

static void fill_config(VirtioNet *net, const VirtioNetConfig *config) {
        uint8_t *c = net->config;

        memcpy(c + NET_CONFIG_MAC, config->mac, sizeof(config->mac));
        le16_store(c + NET_CONFIG_STATUS, net->net->link_up ? NET_STATUS_LINK_UP : 0);
        le16_store(c + NET_CONFIG_PAIRS, (uint16_t) net->net->n_pairs);
        le16_store(c + NET_CONFIG_MTU, net->net->mtu);
}

/**
 * virtio_net_new() - a network card whose frames go to @backend
 * @backend:  consumed on success; on the same loop as the device's queues
 * @config:   copied; its vhosts are consumed on success
 *
 * Return: 0; -EOPNOTSUPP when vhost-net is too old for virtio 1; other negative errno.
 */
int virtio_net_new(NetDev *backend, const VirtioNetConfig *config, VirtioDevice **ret) {
        VirtioNet *net;
        int r;

        assert(backend->n_pairs >= 1 && backend->n_pairs <= NET_PAIRS_MAX);
        assert(!(config->packed && config->vhosts));

        net = calloc(1, sizeof(*net) + backend->n_pairs * sizeof(*net->rx));
        if (!net)
                return -ENOMEM;
        net->net = backend;
        net->n_active = 1;
        net->wake_fd = -EBADF;
        net->dev.ops = &net_ops;
        net->dev.offered = features(backend, config);
        net->dev.config = net->config;
        net->dev.config_len = sizeof(net->config);
        net->dev.n_queues = 2 * backend->n_pairs + 1;
        for (unsigned i = 0; i < net->dev.n_queues; i++)
                net->dev.queue_size_max[i] = NET_QUEUE_SIZE;
        fill_config(net, config);
        r = config->vhosts ? virtio_net_init_kernel(net, config->vhosts, config->loop) : 0;
        if (r < 0) {
                free(net);
                return r;
        }
        backend->handler = (NetHandler){
                .readable = on_readable,
                .writable = on_writable,
                .link_changed = on_link_changed,
                .frontend = net,
        };

        *ret = &net->dev;
        return 0;
}
