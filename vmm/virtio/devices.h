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
#include "vmm/vhost/vhost.h"
#include "vmm/vhost_user/vhost_user.h"
#include "vmm/virtio/virtio.h"

typedef struct VirtioBlkConfig {
        unsigned n_queues;   /* 1..VIRTIO_BLK_QUEUES_MAX; one per vCPU is best */
        unsigned block_size; /* logical block in bytes: power of two, 512..4096 */
        bool packed;         /* offer packed queues */
        const char *id;      /* optional, at most BLOCK_ID_MAX bytes; copied */
} VirtioBlkConfig;

#define VIRTIO_BLK_QUEUES_MAX 16u

typedef struct VirtioNetConfig {
        uint8_t mac[6];
        bool mergeable; /* offer to spread a frame over several receive buffers */
        bool packed;    /* offer packed queues; not with @vhosts */
        Vhost **vhosts; /* of vhost-net, one a pair, in an array from malloc(); NULL: the VMM moves the frames */
        Loop *loop; /* with @vhosts: the device's; borrowed */
} VirtioNetConfig;

typedef struct VirtioVsockConfig {
        Loop *loop;         /* the device's; borrowed */
        uint64_t guest_cid; /* 3..4294967294 */
        const char *dir;    /* of the host's sockets; see vmm/vsock/muxer.h */
} VirtioVsockConfig;

/* By the tags of section 5.5.6.4: swapped in, swapped out, major faults, minor faults, free, total, available, caches,
 * huge pages allocated, huge pages not allocated; memory in bytes. */
#define VIRTIO_BALLOON_STATS 10u
#define VIRTIO_BALLOON_UNKNOWN UINT64_MAX

typedef struct VirtioBalloonStats {
        uint64_t values[VIRTIO_BALLOON_STATS]; /* VIRTIO_BALLOON_UNKNOWN: the guest did not say */
} VirtioBalloonStats;

typedef struct VirtioBalloonConfig {
        Loop *loop;            /* the device's; borrowed */
        bool strict;           /* a guest that is out of memory cannot take it back */
        bool reporting;        /* offer to take pages that the guest has free */
        uint64_t target_bytes; /* to start with */
        /* All optional, on the loop. An answer to virtio_balloon_request_stats(); the device's lock is held. */
        void (*stats)(void *userdata, const VirtioBalloonStats *stats);
        /* What virtio_balloon_actual() says may have changed; the lock is not held. */
        void (*resized)(void *userdata);
        /* A driver has come, or has gone and with it what it was asked for; the lock is not held. */
        void (*served)(void *userdata, bool by_driver);
        void *userdata; /* borrowed */
} VirtioBalloonConfig;

/* Everything borrowed outlives the device. */
typedef struct VirtioPciConfig {
        PciRoot *root;
        unsigned slot; /* 1..PCI_SLOTS - 1 */
        Partition *partition;
        const GuestMem *mem;
        Loop *loop;   /* queues run there; must not run yet, or be the caller's */
        bool plugged; /* into a machine that runs already */
        bool no_intx; /* interrupts are messages only */
} VirtioPciConfig;

/* What a disk is like now. */
typedef struct VirtioBlkInfo {
        uint64_t size_bytes;
        bool read_only;
        char id[BLOCK_ID_MAX + 1]; /* its serial number; "" without one */
} VirtioBlkInfo;

void virtio_blk_describe(VirtioDevice *dev, VirtioBlkInfo *ret);
int virtio_blk_resize(VirtioDevice *dev, uint64_t size_bytes);
int virtio_balloon_new(const VirtioBalloonConfig *config, VirtioDevice **ret);
void virtio_balloon_set_target(VirtioDevice *dev, uint64_t bytes);
uint64_t virtio_balloon_actual(VirtioDevice *dev);
int virtio_balloon_request_stats(VirtioDevice *dev);
int virtio_blk_new(BlockDev *disk, const VirtioBlkConfig *config, VirtioDevice **ret,
                   TextError *reterr);
int virtio_console_new(CharDev *chardev, VirtioDevice **ret);
int virtio_net_new(NetDev *backend, const VirtioNetConfig *config, VirtioDevice **ret);
void virtio_net_set_link(VirtioDevice *dev, bool up);

#define VIRTIO_FS_QUEUES 2u
#define VIRTIO_FS_TAG_MAX 36u
#define VIRTIO_FS_CONFIG_LEN (VIRTIO_FS_TAG_MAX + 4)

int virtio_fs_new(VhostUser *vhost, const char *tag, VirtioDevice **ret, TextError *reterr);
typedef struct VirtioPmemConfig {
        Loop *loop;            /* the device's; borrowed */
        gpa_t gpa;             /* where the guest has the file's bytes */
        uint64_t size_bytes;   /* and how many */
        int fd;                /* of the file; borrowed, outlives the device */
        AioEngine engine;      /* that makes its bytes last */
        uint8_t *host;         /* our mapping of all of it; borrowed, outlives the device */
        uint64_t pageout_nsec; /* how often its pages go to the host's swap or file; 0: never */
} VirtioPmemConfig;

int virtio_pmem_new(const VirtioPmemConfig *config, VirtioDevice **ret);
int virtio_rng_new(VirtioDevice **ret);
#define VIRTIO_SCSI_QUEUES_MAX 16u
#define VIRTIO_SCSI_DISKS_MAX 24u

int virtio_scsi_new(unsigned n_queues, VirtioDevice **ret);
int virtio_scsi_add(VirtioDevice *dev, BlockDev *image, unsigned block_size, const char *id,
                    TextError *reterr);
int virtio_scsi_resize(VirtioDevice *dev, unsigned target, uint64_t size_bytes);
int virtio_vhost_vsock_new(Vhost *vhost, uint64_t guest_cid, Loop *loop, VirtioDevice **ret,
                           TextError *reterr);

/* Everything borrowed outlives the device. */
typedef struct VirtioVhostUserConfig {
        uint16_t type; /* VIRTIO_TYPE_BLOCK, _NET, _VSOCK or _RNG */
        const GuestMem *mem;
        Loop *loop;          /* the device's; must not run yet, or be the caller's */
        unsigned n_vcpus;    /* more queues are of no use */
        unsigned queue_size; /* a power of two, 16..VHOST_USER_RING_SIZE; 0: as is best */
        const char *name;    /* what the log calls the device; copied */
} VirtioVhostUserConfig;

int virtio_vhost_user_new_consume(int fd, const VirtioVhostUserConfig *config, VirtioDevice **ret,
                                  TextError *reterr);
int virtio_vsock_new(const VirtioVsockConfig *config, VirtioDevice **ret, TextError *reterr);

int virtio_pci_new(VirtioDevice *dev, const VirtioPciConfig *config);
