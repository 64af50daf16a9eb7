/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The parts of the network device: net.c life and frames from the guest, net_receive.c frames for it, net_control.c,
 * net_vhost.c pairs that the host's kernel serves.
 */

#include "vmm/net/net.h"
#include "vmm/vhost/vhost.h"
#include "vmm/virtio/virtio.h"

#define NET_F_CSUM (UINT64_C(1) << 0)
#define NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define NET_F_CTRL_GUEST_OFFLOADS (UINT64_C(1) << 2)
#define NET_F_MTU (UINT64_C(1) << 3)
#define NET_F_MAC (UINT64_C(1) << 5)
#define NET_F_GUEST_TSO4 (UINT64_C(1) << 7)
#define NET_F_GUEST_TSO6 (UINT64_C(1) << 8)
#define NET_F_GUEST_ECN (UINT64_C(1) << 9)
#define NET_F_HOST_TSO4 (UINT64_C(1) << 11)
#define NET_F_HOST_TSO6 (UINT64_C(1) << 12)
#define NET_F_HOST_ECN (UINT64_C(1) << 13)
#define NET_F_MRG_RXBUF (UINT64_C(1) << 15)
#define NET_F_STATUS (UINT64_C(1) << 16)
#define NET_F_CTRL_VQ (UINT64_C(1) << 17)
#define NET_F_MQ (UINT64_C(1) << 22)
#define NET_F_CTRL_MAC_ADDR (UINT64_C(1) << 23)
#define NET_F_GUEST_USO4 (UINT64_C(1) << 54)
#define NET_F_GUEST_USO6 (UINT64_C(1) << 55)
#define NET_F_HOST_USO (UINT64_C(1) << 56)

#define NET_GUEST_OFFLOADS                                                                         \
        (NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN |                \
         NET_F_GUEST_USO4 | NET_F_GUEST_USO6)

/* Device configuration space (section 5.1.4). */
#define NET_CONFIG_MAC 0u
#define NET_CONFIG_STATUS 6u
#define NET_CONFIG_PAIRS 8u
#define NET_CONFIG_MTU 10u
#define NET_CONFIG_LEN 12u
#define NET_STATUS_LINK_UP 0x1u

/* The header on each frame (section 5.1.6). */
#define NET_HEADER_FLAGS 0u
#define NET_HEADER_GSO_TYPE 1u
#define NET_HEADER_NUM_BUFFERS 10u

/* Buffers that are taken before a frame comes: of drivers with mergeable buffers 64 KiB are 43 or 16 of them. */
#define NET_RX_CHAINS_MAX 64u
#define NET_RX_IOV_MAX 256u

/* Frames that one turn of the loop moves in one direction. */
#define NET_BATCH 128u

_Static_assert(NET_IOV_MAX >= 1 + VIRTQ_CHAIN_MAX,
               "a frame from the guest is a header and a chain");
_Static_assert(NET_IOV_MAX >= NET_RX_IOV_MAX + 1, "a frame for it is buffers and the spill");

typedef struct NetRxChain {
        uint32_t head;
        uint32_t len; /* bytes that the device may write */
} NetRxChain;

/* Receive buffers of one queue that were taken and wait for a frame, as one run of bytes. */
typedef struct NetRx {
        unsigned n_chains, n_iov;
        size_t len; /* bytes in all */
        NetRxChain chains[NET_RX_CHAINS_MAX];
        struct iovec iov[NET_RX_IOV_MAX + 1]; /* one more for the spill */
        uint8_t *spill;   /* owned, NET_FRAME_MAX bytes; NULL until first needed */
        size_t frame_len; /* of a frame whose end is in @spill; 0 = none */
        size_t direct;    /* bytes of it that are in the buffers already */
        bool watched;     /* the backend tells of frames */
} NetRx;

typedef struct VirtioNet {
        VirtioDevice dev;
        NetDev *net; /* owned */
        uint8_t config[NET_CONFIG_LEN];
        bool started;      /* the backend knows what the driver accepted */
        bool suspended;    /* frames wait in the backend */
        bool unplugged;    /* the cable is out: frames are lost both ways */
        unsigned n_active; /* pairs in use */
        uint64_t offloads; /* NET_F_GUEST_* that may be in frames for the guest now */

        Vhost **vhosts;                /* owned, one a pair; NULL: frames go through the VMM */
        bool in_kernel[NET_PAIRS_MAX]; /* the pair's vhost device serves its queues */
        bool resetting;                /* the loop has to stop those */
        int wake_fd;                   /* owned eventfd: to do so now */
        LoopSource *wake;              /* owned */
        NetRx rx[];                    /* one a pair */
} VirtioNet;

/* net_receive.c; the device's lock is held, on the loop. */
void virtio_net_receive(VirtioNet *net, unsigned pair);
void virtio_net_forget_buffers(VirtioNet *net);
void virtio_net_return_buffers(VirtioNet *net);
void virtio_net_stop_receiving(VirtioNet *net, unsigned pair);

/* net_vhost.c; the same, but virtio_net_reset_kernel(), which is on a vCPU's thread. */
int virtio_net_init_kernel(VirtioNet *net, Vhost **vhosts, Loop *loop);
void virtio_net_deinit_kernel(VirtioNet *net);
void virtio_net_update_kernel(VirtioNet *net);
int virtio_net_reset_kernel(VirtioNet *net);

/* net_control.c */
bool virtio_net_is_control(const VirtioDevice *dev, unsigned queue);
void virtio_net_control(VirtioDevice *dev, unsigned queue, const VirtqChain *chain);
int virtio_net_apply_offloads(VirtioNet *net, uint64_t features);
