/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a virtio device model is to its transport (virtio 1.2 chapters 2 and 5), independent of PCI.
 *
 * Threads: registers are reached from vCPU threads and queues run on the device's loop, both under one lock that the
 * transport owns. Every ops call below is made with it held. A model that finishes work later (a disk) comes back on
 * its loop and takes the lock with virtio_device_lock().
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/snapshot/snapshot.h"
#include "vmm/virtio/queue.h"

typedef struct VirtioDevice VirtioDevice;

enum { VIRTIO_E_PENDING = 1 }; /* reset(): it ends later, with virtio_device_reset_done() */

#define VIRTIO_TYPE_NET 1u
#define VIRTIO_TYPE_BLOCK 2u
#define VIRTIO_TYPE_CONSOLE 3u
#define VIRTIO_TYPE_RNG 4u
#define VIRTIO_TYPE_BALLOON 5u
#define VIRTIO_TYPE_SCSI 8u
#define VIRTIO_TYPE_VSOCK 19u
#define VIRTIO_TYPE_FS 26u
#define VIRTIO_TYPE_PMEM 27u

/* Device status bits (section 2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01u
#define VIRTIO_STATUS_DRIVER 0x02u
#define VIRTIO_STATUS_DRIVER_OK 0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u
#define VIRTIO_STATUS_FAILED 0x80u

/* Feature bit of the transport (chapter 6); those of the ring are in queue.h. */
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)

#define VIRTIO_QUEUES_MAX 64u

typedef struct VirtioOps {
        const char *name;
        uint16_t type; /* VIRTIO_TYPE_* */
        /* Loop thread: the driver offered buffers on @queue, or DRIVER_OK was just set. Takes a bounded number of
         * them and calls virtio_device_kick() if it stopped early. */
        void (*notify)(VirtioDevice *dev, unsigned queue);
        /* vCPU thread: forget all requests. Return: 0 when no guest buffer is in use any more; VIRTIO_E_PENDING when
         * some still are, then virtio_device_reset_done() follows. NULL: nothing to forget. */
        int (*reset)(VirtioDevice *dev);
        /* Optional, vCPU thread: the driver wrote @size bytes, 1 to 8, of the device configuration space; they need not
         * lie inside it. */
        void (*config_write)(VirtioDevice *dev, uint64_t offset, unsigned size, uint64_t value);
        /* Optional, loop thread. The machine is suspended: no vCPU runs, and notify() is not called until resume(). */
        void (*suspend)(VirtioDevice *dev);
        void (*resume)(VirtioDevice *dev);
        /* Optional, loop thread, after suspend(): the host still works on requests, and virtio_device_rested() will tell of
         * the last one's end. */
        bool (*busy)(const VirtioDevice *dev);
        /*
         * Optional, loop thread, after suspend() and at rest, or before the machine runs: saves or restores what is more
         * than features and queues, which are restored already. NULL: it cannot be saved.
         */
        void (*snapshot)(VirtioDevice *dev, Snapshot *s);
        /* No vCPU is in the guest; on the loop's thread, or after it ended. Buffers of the guest that are still in use
         * are no more when it returns. */
        VirtioDevice *(*free)(VirtioDevice *dev);
} VirtioOps;

/* The ends of a queue that the host's kernel serves; owned by the transport. */
typedef struct VirtioQueueFds {
        int kick_fd; /* eventfd: signalled when the driver notifies */
        int call_fd; /* eventfd: a signal interrupts the driver */
} VirtioQueueFds;

/* What the transport does for a device; the device's lock is held. */
typedef struct VirtioTransportOps {
        void (*interrupt_queue)(void *transport, unsigned queue);
        void (*interrupt_config)(void *transport);
        void (*kick)(void *transport, unsigned queue); /* notify() again, later, from the loop */
        void (*needs_reset)(void *transport);
        void (*reset_done)(void *transport);
        void (*rested)(void *transport);
        /* On the loop. From now on notify() is not called for @queue, notifications wait in the kick eventfd and signals of
         * the call eventfd reach the driver, without the VMM where the hypervisor can do that. Return: 0 or negative
         * errno, and nothing changed. */
        int (*hand_over)(void *transport, unsigned queue, VirtioQueueFds *ret);
        /* On the loop: the end of it. A notification that came meanwhile may still be in its eventfd, and is seen. */
        void (*take_back)(void *transport, unsigned queue);
} VirtioTransportOps;

/* First member of each model, filled by its virtio_X_new(); the second half belongs to the transport. */
struct VirtioDevice {
        const VirtioOps *ops;
        uint64_t offered;  /* features, those of ring and transport included */
        uint64_t withheld; /* those of them that whoever serves the queues cannot do */
        const uint8_t
                *config; /* device configuration space; borrowed from the model, little endian */
        size_t config_len;
        unsigned n_queues;  /* 1..VIRTIO_QUEUES_MAX */
        bool shares_vector; /* one for all queues: their interrupts come together */
        uint16_t queue_size_max[VIRTIO_QUEUES_MAX]; /* powers of two */

        const VirtioTransportOps *transport_ops;
        void *transport;       /* weak */
        pthread_mutex_t *lock; /* borrowed from the transport */
        uint64_t accepted;     /* features; final once FEATURES_OK is set */
        uint8_t config_generation;
        bool running; /* DRIVER_OK, nothing broken, no reset under way */
        VirtQueue queues[VIRTIO_QUEUES_MAX];
        uint64_t n_host_errors; /* requests that failed for the host, as a full disk makes them */
};

static inline VirtioDevice *virtio_device_free(VirtioDevice *dev) {
        return dev ? dev->ops->free(dev) : NULL;
}
DEFINE_CLEANUP(VirtioDevice *, virtio_device_free)

static inline bool virtio_device_has(const VirtioDevice *dev, uint64_t feature) {
        return dev->accepted & feature;
}

void virtio_device_lock(VirtioDevice *dev);
void virtio_device_unlock(VirtioDevice *dev);
void virtio_device_limit_queues(VirtioDevice *dev, const uint16_t *sizes, unsigned n);
void virtio_device_has_no_more(VirtioDevice *dev, Snapshot *s);
typedef void (*VirtioChainFn)(VirtioDevice *dev, unsigned queue, const VirtqChain *chain);

int virtio_device_pop(VirtioDevice *dev, unsigned queue, VirtqChain *ret);
void virtio_device_drain(VirtioDevice *dev, unsigned queue, VirtioChainFn handle);
void virtio_device_interrupt(VirtioDevice *dev, unsigned queue);
void virtio_device_kick(VirtioDevice *dev, unsigned queue);
void virtio_device_config_changed(VirtioDevice *dev);
void virtio_device_broken(VirtioDevice *dev, const char *cause);
void virtio_device_reset_done(VirtioDevice *dev);
void virtio_device_rested(VirtioDevice *dev);
int virtio_device_hand_over(VirtioDevice *dev, unsigned queue, VirtioQueueFds *ret);
void virtio_device_take_back(VirtioDevice *dev, unsigned queue);
