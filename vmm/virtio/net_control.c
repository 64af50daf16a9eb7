/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/iov.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/virtio/net_internal.h"

/*
 * The control queue (section 5.1.6.5): number of pairs, MAC address, offloads of receiving. A TAP interface gives the
 * guest every frame that the host sends to it, so receive filters are neither offered nor pretended.
 */

#define CLASS_MAC 1u
#define MAC_ADDR_SET 1u
#define CLASS_MQ 4u
#define MQ_PAIRS_SET 0u
#define CLASS_OFFLOADS 5u
#define OFFLOADS_SET 0u

#define ACK_OK 0u
#define ACK_ERROR 1u

#define COMMAND_HEADER_LEN 2u
#define COMMAND_LEN_MAX (COMMAND_HEADER_LEN + 8u)

/** virtio_net_is_control() - the control queue comes after the pairs in use by what was negotiated (section 5.1.2) */
bool virtio_net_is_control(const VirtioDevice *dev, unsigned queue) {
        const VirtioNet *net = (const VirtioNet *) dev;
        unsigned n_pairs = virtio_device_has(dev, NET_F_MQ) ? net->net->n_pairs : 1;

        return virtio_device_has(dev, NET_F_CTRL_VQ) && queue == 2 * n_pairs;
}

/** virtio_net_apply_offloads() - tell the backend which of @features may be in frames. Return: 0 or negative errno. */
int virtio_net_apply_offloads(VirtioNet *net, uint64_t features) {
        unsigned offloads = 0;

        net->offloads = features & NET_GUEST_OFFLOADS;
        if (!net->net->ops->set_offloads)
                return 0;
        if (features & NET_F_GUEST_CSUM)
                offloads |= NET_OFFLOAD_CSUM;
        if (features & NET_F_GUEST_TSO4)
                offloads |= NET_OFFLOAD_TSO4;
        if (features & NET_F_GUEST_TSO6)
                offloads |= NET_OFFLOAD_TSO6;
        if (features & NET_F_GUEST_ECN)
                offloads |= NET_OFFLOAD_ECN;
        if ((features & NET_F_GUEST_USO4) && (features & NET_F_GUEST_USO6))
                offloads |= NET_OFFLOAD_USO;
        /* Segments are no use to one who cannot leave checksums open (section 5.1.3.1). */
        if (!(offloads & NET_OFFLOAD_CSUM))
                offloads = 0;
        return net->net->ops->set_offloads(net->net, offloads);
}

static bool set_pairs(VirtioNet *net, uint16_t n) {
        unsigned before = net->n_active;

        if (!virtio_device_has(&net->dev, NET_F_MQ) || n < 1 || n > net->net->n_pairs)
                return false;
        if (net->net->ops->set_pairs && net->net->ops->set_pairs(net->net, n) < 0)
                return false;
        net->n_active = n;
        virtio_net_update_kernel(net);
        for (unsigned i = MIN(before, (unsigned) n); i < MAX(before, (unsigned) n); i++)
                virtio_net_receive(net, i);
        return true;
}

static bool set_offloads(VirtioNet *net, uint64_t offloads) {
        if (!virtio_device_has(&net->dev, NET_F_CTRL_GUEST_OFFLOADS) ||
            (offloads & ~(net->dev.accepted & NET_GUEST_OFFLOADS)))
                return false;
        return virtio_net_apply_offloads(net, offloads) >= 0;
}

static bool set_mac(VirtioNet *net, const uint8_t *mac) {
        if (!virtio_device_has(&net->dev, NET_F_CTRL_MAC_ADDR))
                return false;
        memcpy(net->config + NET_CONFIG_MAC, mac, 6);
        return true;
}

static bool execute(VirtioNet *net, const uint8_t *command, size_t len) {
        const uint8_t *data = command + COMMAND_HEADER_LEN;

        if (len < COMMAND_HEADER_LEN)
                return false;
        len -= COMMAND_HEADER_LEN;
        if (command[0] == CLASS_MQ && command[1] == MQ_PAIRS_SET && len == 2)
                return set_pairs(net, le16_load(data));
        if (command[0] == CLASS_MAC && command[1] == MAC_ADDR_SET && len == 6)
                return set_mac(net, data);
        if (command[0] == CLASS_OFFLOADS && command[1] == OFFLOADS_SET && len == 8)
                return set_offloads(net, le64_load(data));
        return false;
}

/** virtio_net_control() - one command, as VirtioChainFn */
void virtio_net_control(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        uint8_t command[COMMAND_LEN_MAX], ack;
        size_t len = iov_gather(chain->iov, chain->n_out, 0, command, sizeof(command));

        if (chain->in_bytes == 0) {
                virtio_device_broken(dev, "network command without room for its answer");
                return;
        }
        if (chain->out_bytes > sizeof(command))
                len = 0;
        ack = execute((VirtioNet *) dev, command, len) ? ACK_OK : ACK_ERROR;
        iov_scatter(chain->iov + chain->n_out, chain->n_in, 0, &ack, 1);
        virtq_push(dev->queues + queue, chain->head, 1);
}
