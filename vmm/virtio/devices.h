/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The device models and the transport that puts one on the PCI bus. */

#include "base/text_error.h"
#include "vmm/block/block.h"
#include "vmm/chardev/char.h"
#include "vmm/event/loop.h"
#include "vmm/hv/hv.h"
#include "vmm/net/net.h"
#include "vmm/pci/pci.h"
#include "vmm/vhost_user/vhost_user.h"
#include "vmm/virtio/virtio.h"

typedef struct VirtioBlkConfig {
        unsigned n_queues;   /* 1..VIRTIO_BLK_QUEUES_MAX; one per vCPU is best */
        unsigned block_size; /* logical block in bytes: power of two, 512..4096 */
        const char *id;      /* optional, at most 20 bytes; copied */
} VirtioBlkConfig;

#define VIRTIO_BLK_QUEUES_MAX 16u

typedef struct VirtioNetConfig {
        uint8_t mac[6];
        bool mergeable; /* offer to spread a frame over several receive buffers */
} VirtioNetConfig;

typedef struct VirtioVsockConfig {
        Loop *loop;         /* the device's; borrowed */
        uint64_t guest_cid; /* 3..4294967294 */
        const char *dir;    /* of the host's sockets; see vmm/vsock/muxer.h */
} VirtioVsockConfig;

/* Everything borrowed outlives the device. */
typedef struct VirtioPciConfig {
        PciRoot *root;
        unsigned slot; /* 1..PCI_SLOTS - 1 */
        Partition *partition;
        const GuestMem *mem;
        Loop *loop;   /* queues run there; must not run yet, or be the caller's */
        bool plugged; /* into a machine that runs already */
} VirtioPciConfig;

int virtio_blk_resize(VirtioDevice *dev, uint64_t size_bytes);
int virtio_blk_new(BlockDev *disk, const VirtioBlkConfig *config, VirtioDevice **ret,
                   TextError *reterr);
int virtio_console_new(CharDev *chardev, VirtioDevice **ret);
int virtio_net_new(NetDev *backend, const VirtioNetConfig *config, VirtioDevice **ret);
#define VIRTIO_FS_QUEUES 2u
#define VIRTIO_FS_TAG_MAX 36u

int virtio_fs_new(VhostUser *vhost, const char *tag, VirtioDevice **ret);
int virtio_rng_new(VirtioDevice **ret);
int virtio_vsock_new(const VirtioVsockConfig *config, VirtioDevice **ret, TextError *reterr);

int virtio_pci_new(VirtioDevice *dev, const VirtioPciConfig *config);
