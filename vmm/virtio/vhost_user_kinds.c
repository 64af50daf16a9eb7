/* SPDX-License-Identifier: Apache-2.0 */
#include "base/le.h"
#include "vmm/virtio/vhost_user_internal.h"

/*
 * The types of devices that another process may serve. Features that are not here would need something of the VMM that
 * it does not do: a control queue, several pairs of network queues, zones, dirty logs.
 */

#define COMMON_OPS                                                                                 \
        .notify = virtio_vhost_user_notify, .reset = virtio_vhost_user_reset,                      \
        .config_write = virtio_vhost_user_config_write, .suspend = virtio_vhost_user_suspend,      \
        .resume = virtio_vhost_user_resume, .busy = virtio_vhost_user_busy,                        \
        .free = virtio_vhost_user_free

#define BIT(n) (UINT64_C(1) << (n))

/* ---- block (virtio 1.2 section 5.2) ---- */

#define BLK_F_SIZE_MAX BIT(1)
#define BLK_F_SEG_MAX BIT(2)
#define BLK_F_GEOMETRY BIT(4)
#define BLK_F_RO BIT(5)
#define BLK_F_BLK_SIZE BIT(6)
#define BLK_F_FLUSH BIT(9)
#define BLK_F_TOPOLOGY BIT(10)
#define BLK_F_CONFIG_WCE BIT(11)
#define BLK_F_MQ BIT(12)
#define BLK_F_DISCARD BIT(13)
#define BLK_F_WRITE_ZEROES BIT(14)

#define BLK_SEG_MAX 12u
#define BLK_WRITEBACK 32u
#define BLK_NUM_QUEUES 34u
#define BLK_CONFIG_LEN 60u
#define BLK_S_IOERR 1u

/* Of each request the header and the status are not data. */
#define BLK_EXTRA_BUFFERS 2u

static unsigned blk_count_queues(const VhostUser *vhost) {
        size_t len;
        const uint8_t *config = vhost_user_config(vhost, &len);
        unsigned told = le16_load(config + BLK_NUM_QUEUES);

        if (!(vhost_user_features(vhost) & BLK_F_MQ) || told == 0)
                return 1;
        return MIN(told, vhost_user_queues(vhost));
}

static void blk_adapt(VhostUserDevice *vd) {
        uint32_t seg_max = le32_load(vd->config + BLK_SEG_MAX);
        unsigned most = MIN(vhost_user_ring_size(vd->vhost), VIRTQ_CHAIN_MAX) - BLK_EXTRA_BUFFERS;

        le32_store(vd->config + BLK_SEG_MAX, MIN(MAX(seg_max, 1u), most));
        le16_store(vd->config + BLK_NUM_QUEUES, (uint16_t) vd->n_queues);
}

/* The last byte that the process may write. */
static uint8_t *blk_status(const VirtqChain *chain) {
        const struct iovec *last;

        if (chain->n_in == 0)
                return NULL;
        last = &chain->iov[chain->n_out + chain->n_in - 1];
        return (uint8_t *) last->iov_base + last->iov_len - 1;
}

/* ---- network (section 5.1) ---- */

#define NET_F_CSUM BIT(0)
#define NET_F_GUEST_CSUM BIT(1)
#define NET_F_MTU BIT(3)
#define NET_F_MAC BIT(5)
#define NET_F_GUEST_TSO4 BIT(7)
#define NET_F_GUEST_TSO6 BIT(8)
#define NET_F_GUEST_ECN BIT(9)
#define NET_F_GUEST_UFO BIT(10)
#define NET_F_HOST_TSO4 BIT(11)
#define NET_F_HOST_TSO6 BIT(12)
#define NET_F_HOST_ECN BIT(13)
#define NET_F_HOST_UFO BIT(14)
#define NET_F_MRG_RXBUF BIT(15)
#define NET_F_STATUS BIT(16)

#define NET_STATUS 6u
#define NET_CONFIG_LEN 12u
#define NET_S_LINK_UP 1u

/* A process that knows nothing of the link has one that is up as long as it lives. */
static void net_adapt(VhostUserDevice *vd) {
        if (vd->dev.offered & vhost_user_features(vd->vhost) & NET_F_STATUS)
                return;
        vd->dev.offered |= NET_F_STATUS;
        le16_store(vd->config + NET_STATUS, NET_S_LINK_UP);
}

static void net_lost(VhostUserDevice *vd) {
        uint16_t status = le16_load(vd->config + NET_STATUS);

        le16_store(vd->config + NET_STATUS, status & (uint16_t) ~NET_S_LINK_UP);
        virtio_device_config_changed(&vd->dev);
}

/* ---- sockets (section 5.10) ---- */

#define VSOCK_F_STREAM BIT(0)
#define VSOCK_F_SEQPACKET BIT(1)

#define VSOCK_QUEUE_EVENT 2u
#define VSOCK_CONFIG_LEN 8u
#define VSOCK_EVENT_LEN 4u
#define VSOCK_EVENT_TRANSPORT_RESET 0u

/* Connections are no more; the guest's programs hear it by the only word that there is for it. */
static void vsock_lost(VhostUserDevice *vd) {
        VirtqChain chain;

        if (!vd->dev.running || !vd->dev.queues[VSOCK_QUEUE_EVENT].enabled ||
            virtio_device_pop(&vd->dev, VSOCK_QUEUE_EVENT, &chain) != 0)
                return;
        if (chain.n_in > 0 && chain.iov[chain.n_out].iov_len >= VSOCK_EVENT_LEN)
                le32_store(chain.iov[chain.n_out].iov_base, VSOCK_EVENT_TRANSPORT_RESET);
        virtq_push(vd->dev.queues + VSOCK_QUEUE_EVENT, chain.head,
                   MIN(chain.in_bytes, VSOCK_EVENT_LEN));
        virtio_device_interrupt(&vd->dev, VSOCK_QUEUE_EVENT);
}

/* ---- consoles (section 5.3) ---- */

#define CONSOLE_F_SIZE BIT(0)
#define CONSOLE_F_MULTIPORT BIT(1)

#define CONSOLE_MAX_NR_PORTS 4u
#define CONSOLE_CONFIG_LEN 8u /* emergency writes, which are events and no state, come after it */
#define CONSOLE_QUEUES 2u     /* of each port, and of the control messages of several */

/* Two queues for the first port, two for control messages, two for each port besides; or the first two alone. */
static unsigned console_count_queues(const VhostUser *vhost) {
        size_t len;
        const uint8_t *config = vhost_user_config(vhost, &len);
        unsigned most = vhost_user_queues(vhost) / CONSOLE_QUEUES;
        uint32_t told = le32_load(config + CONSOLE_MAX_NR_PORTS);

        if (len == 0 || !(vhost_user_features(vhost) & CONSOLE_F_MULTIPORT) || most < 2)
                return CONSOLE_QUEUES;
        return CONSOLE_QUEUES * (MIN(MAX(told, 1u), most - 1) + 1);
}

/* The driver sets up queues for as many ports as it reads here, and fails if one of them is not there. */
static void console_adapt(VhostUserDevice *vd) {
        if (vd->n_queues == CONSOLE_QUEUES)
                vd->dev.offered &= ~CONSOLE_F_MULTIPORT;
        le32_store(vd->config + CONSOLE_MAX_NR_PORTS, MAX(vd->n_queues / CONSOLE_QUEUES, 2u) - 1);
}

/* ---- all ---- */

static const VhostUserKind kinds[] = {
        {
                .ops = {.name = "vhost-user block", .type = VIRTIO_TYPE_BLOCK, COMMON_OPS},
                .features = BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_GEOMETRY | BLK_F_RO |
                            BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY | BLK_F_CONFIG_WCE |
                            BLK_F_MQ | BLK_F_DISCARD | BLK_F_WRITE_ZEROES,
                .min_queues = 1,
                .max_queues = VHOST_USER_QUEUES_MAX,
                .queue_per_vcpu = true,
                .config_len = BLK_CONFIG_LEN,
                .needs_config = true,
                .ends = true,
                .write_feature = BLK_F_CONFIG_WCE,
                .write_offset = BLK_WRITEBACK,
                .write_len = 1,
                .count_queues = blk_count_queues,
                .adapt = blk_adapt,
                .status = blk_status,
                .failure = BLK_S_IOERR,
        },
        {
                .ops = {.name = "vhost-user net", .type = VIRTIO_TYPE_NET, COMMON_OPS},
                .features = NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MTU | NET_F_MAC |
                            NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN |
                            NET_F_GUEST_UFO | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN |
                            NET_F_HOST_UFO | NET_F_MRG_RXBUF | NET_F_STATUS,
                .config_features = NET_F_MTU | NET_F_MAC | NET_F_STATUS,
                .min_queues = 2, /* of one pair */
                .max_queues = 2,
                .config_len = NET_CONFIG_LEN,
                .adapt = net_adapt,
                .lost = net_lost,
        },
        {
                .ops = {.name = "vhost-user vsock", .type = VIRTIO_TYPE_VSOCK, COMMON_OPS},
                .features = VSOCK_F_STREAM | VSOCK_F_SEQPACKET,
                .min_queues = 2,
                .max_queues = 2,
                .own_queues = 1, /* of events, which only we have any of */
                .config_len = VSOCK_CONFIG_LEN,
                .needs_config = true,
                .lost = vsock_lost,
        },
        {
                .ops = {.name = "vhost-user rng", .type = VIRTIO_TYPE_RNG, COMMON_OPS},
                .min_queues = 1,
                .max_queues = 1,
                .ends = true,
        },
        {
                .ops = {.name = "vhost-user console", .type = VIRTIO_TYPE_CONSOLE, COMMON_OPS},
                .features = CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT,
                .config_features = CONSOLE_F_SIZE | CONSOLE_F_MULTIPORT,
                .min_queues = CONSOLE_QUEUES,
                .max_queues = VHOST_USER_QUEUES_MAX,
                .config_len = CONSOLE_CONFIG_LEN,
                .count_queues = console_count_queues,
                .adapt = console_adapt,
        },
};

/** virtio_vhost_user_kind() - what VIRTIO_TYPE_* @type needs; NULL: it cannot be served by another process */
const VhostUserKind *virtio_vhost_user_kind(uint16_t type) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (kinds[i].ops.type == type)
                        return &kinds[i];
        return NULL;
}
