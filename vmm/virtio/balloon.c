/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/le.h"
#include "vmm/mem/memmap.h"
#include "vmm/virtio/devices.h"

/*
 * The memory balloon (virtio 1.2 section 5.5). The guest is told how many pages to give up; what it gives up, and what it
 * reports as free, goes back to the host at once and reads as zeros afterwards. Pages that it takes back cost nothing
 * until they are touched, so that deflation needs no work here.
 *
 * Queues after the first two are numbered without gaps by the features that were agreed, as Linux and the other
 * monitors have it, although the specification gives each a fixed number.
 */

#define F_STATS_VQ (UINT64_C(1) << 1)
#define F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define F_REPORTING (UINT64_C(1) << 5)

#define QUEUE_INFLATE 0u
#define QUEUE_DEFLATE 1u
#define QUEUE_STATS 2u
#define N_QUEUES 5u
#define QUEUE_SIZE 128u

#define CONFIG_NUM_PAGES 0u
#define CONFIG_ACTUAL 4u
#define CONFIG_LEN 8u

/* Page numbers of one request: Linux sends 256. */
#define PFNS_MAX 4096u
#define PFNS_BATCH 256u
#define STAT_LEN 10u /* u16 tag, u64 value */
#define STATS_BYTES_MAX (64u * STAT_LEN)

typedef struct VirtioBalloon {
        VirtioDevice dev;
        VirtioBalloonConfig handlers;
        uint8_t config[CONFIG_LEN];
        int wake_fd; /* owned eventfd: the guest has changed the actual size, or the driver has come or gone */
        LoopSource *wake;
        bool told_served; /* what the host's side was told last */
        unsigned n_resets, n_told_resets;
        bool has_stats_buffer; /* the guest's request for being asked is held */
        uint32_t stats_head;
        bool asked; /* for statistics; the next buffer has them */
        bool suspended;
} VirtioBalloon;

static VirtioBalloon *balloon_of(VirtioDevice *dev) {
        return (VirtioBalloon *) dev;
}

/* ---- pages ---- */

static int compare_pfns(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return x < y ? -1 : x > y;
}

/* Neighbours go together: one call gives back what is one piece. */
static void release_pfns(const GuestMem *mem, uint32_t *pfns, unsigned n) {
        qsort(pfns, n, sizeof(*pfns), compare_pfns);
        for (unsigned i = 0; i < n;) {
                unsigned len = 1;

                while (i + len < n && pfns[i + len] - pfns[i + len - 1] <= 1)
                        len++;
                guest_mem_release(mem, (gpa_t) pfns[i] * MEMMAP_PAGE_SIZE,
                                  (pfns[i + len - 1] - pfns[i] + 1) * MEMMAP_PAGE_SIZE);
                i += len;
        }
}

static void inflate(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        uint32_t pfns[PFNS_BATCH], n_all = chain->out_bytes / sizeof(*pfns);
        VirtQueue *q = dev->queues + queue;

        if (n_all > PFNS_MAX) {
                virtio_device_broken(dev, "balloon request with too many pages");
                return;
        }
        for (uint32_t at = 0; at < n_all; at += PFNS_BATCH) {
                unsigned n = MIN(PFNS_BATCH, n_all - at);

                iov_gather(chain->iov, chain->n_out, at * sizeof(*pfns), pfns, n * sizeof(*pfns));
                for (unsigned i = 0; i < n; i++)
                        pfns[i] = le32toh(pfns[i]);
                release_pfns(q->mem, pfns, n);
        }
        virtq_push(q, chain->head, 0);
}

static void deflate(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        virtq_push(dev->queues + queue, chain->head, 0);
}

/* Free pages of the guest are the buffers themselves; the queue has checked that they are in memory. */
static void report(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        const struct iovec *in = chain->iov + chain->n_out;

        for (unsigned i = 0; i < chain->n_in && !dev->queues[queue].mem->pinned; i++)
                if ((uintptr_t) in[i].iov_base % MEMMAP_PAGE_SIZE == 0 &&
                    in[i].iov_len % MEMMAP_PAGE_SIZE == 0)
                        (void) madvise(in[i].iov_base, in[i].iov_len, MADV_REMOVE);
        virtq_push(dev->queues + queue, chain->head, 0);
}

/* ---- statistics ---- */

/* The guest's buffer is kept until somebody wants to know; giving it back asks the guest for a new one. */
static void take_stats(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VirtioBalloon *balloon = balloon_of(dev);
        uint8_t raw[STATS_BYTES_MAX];
        VirtioBalloonStats stats;
        size_t n;

        if (balloon->has_stats_buffer) {
                virtio_device_broken(dev, "two statistics buffers at once");
                return;
        }
        balloon->has_stats_buffer = true;
        balloon->stats_head = chain->head;
        if (!balloon->asked)
                return;
        balloon->asked = false;
        for (unsigned i = 0; i < VIRTIO_BALLOON_STATS; i++)
                stats.values[i] = VIRTIO_BALLOON_UNKNOWN;
        n = iov_gather(chain->iov, chain->n_out, 0, raw, sizeof(raw));
        for (size_t at = 0; at + STAT_LEN <= n; at += STAT_LEN) {
                uint16_t tag = le16_load(raw + at);

                if (tag < VIRTIO_BALLOON_STATS)
                        stats.values[tag] = le64_load(raw + at + 2);
        }
        if (balloon->handlers.stats)
                balloon->handlers.stats(balloon->handlers.userdata, &stats);
}

static void ask(VirtioBalloon *balloon) {
        VirtioDevice *dev = &balloon->dev;

        if (!balloon->has_stats_buffer || balloon->suspended)
                return;
        balloon->has_stats_buffer = false;
        virtq_push(dev->queues + QUEUE_STATS, balloon->stats_head, 0);
        virtio_device_interrupt(dev, QUEUE_STATS);
}

/**
 * virtio_balloon_request_stats() - ask the guest how its memory is used; VirtioBalloonConfig.stats has the answer
 *
 * On the loop, without the device's lock. A machine that is suspended is asked when it goes on. Return: 0; -ENOTCONN when no driver is there that could tell.
 */
int virtio_balloon_request_stats(VirtioDevice *dev) {
        VirtioBalloon *balloon = balloon_of(dev);
        int r = 0;

        assert(dev->ops->type == VIRTIO_TYPE_BALLOON);

        virtio_device_lock(dev);
        if (!dev->running || !virtio_device_has(dev, F_STATS_VQ))
                r = -ENOTCONN;
        else {
                balloon->asked = true;
                ask(balloon);
        }
        virtio_device_unlock(dev);
        return r;
}

/* ---- size ---- */

/**
 * virtio_balloon_set_target() - have the guest give up @bytes of memory in all, rounded down to pages
 *
 * On the loop, without the device's lock. The guest follows as far and as fast as it can, or not at all.
 */
void virtio_balloon_set_target(VirtioDevice *dev, uint64_t bytes) {
        VirtioBalloon *balloon = balloon_of(dev);
        uint64_t pages = bytes / MEMMAP_PAGE_SIZE;

        assert(dev->ops->type == VIRTIO_TYPE_BALLOON);

        virtio_device_lock(dev);
        le32_store(balloon->config + CONFIG_NUM_PAGES,
                   (uint32_t) MIN(pages, (uint64_t) UINT32_MAX));
        virtio_device_config_changed(dev);
        virtio_device_unlock(dev);
}

/** virtio_balloon_actual() - bytes that the guest says it has given up; on the loop, without the device's lock */
uint64_t virtio_balloon_actual(VirtioDevice *dev) {
        uint64_t pages;

        assert(dev->ops->type == VIRTIO_TYPE_BALLOON);

        virtio_device_lock(dev);
        pages = le32_load(balloon_of(dev)->config + CONFIG_ACTUAL);
        virtio_device_unlock(dev);
        return pages * MEMMAP_PAGE_SIZE;
}

static void balloon_config_write(VirtioDevice *dev, uint64_t offset, unsigned size,
                                 uint64_t value) {
        VirtioBalloon *balloon = balloon_of(dev);

        for (unsigned i = 0; i < size; i++, value >>= 8)
                if (offset + i >= CONFIG_ACTUAL && offset + i < CONFIG_LEN)
                        balloon->config[offset + i] = (uint8_t) value;
        (void) eventfd_write(balloon->wake_fd, 1); /* fails only when one is pending already */
}

/* A driver that goes and comes before the loop has seen it go is told of as both. */
static void tell_served(VirtioBalloon *balloon) {
        const VirtioBalloonConfig *handlers = &balloon->handlers;
        bool served, reset;

        virtio_device_lock(&balloon->dev);
        served = balloon->dev.running;
        reset = balloon->told_served && (!served || balloon->n_resets != balloon->n_told_resets);
        balloon->n_told_resets = balloon->n_resets;
        virtio_device_unlock(&balloon->dev);
        if (reset)
                handlers->served(handlers->userdata, false);
        if (served && (reset || !balloon->told_served))
                handlers->served(handlers->userdata, true);
        balloon->told_served = served;
}

static void woken(void *userdata, int fd, uint32_t events) {
        VirtioBalloon *balloon = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        if (balloon->handlers.served)
                tell_served(balloon);
        if (balloon->handlers.resized)
                balloon->handlers.resized(balloon->handlers.userdata);
}

/* ---- life ---- */

static void balloon_notify(VirtioDevice *dev, unsigned queue) {
        VirtioBalloon *balloon = balloon_of(dev);

        if (balloon->handlers.served && !balloon->told_served)
                (void) eventfd_write(balloon->wake_fd, 1); /* the first since the driver came */
        if (queue == QUEUE_INFLATE)
                virtio_device_drain(dev, queue, inflate);
        else if (queue == QUEUE_DEFLATE)
                virtio_device_drain(dev, queue, deflate);
        else if (queue == QUEUE_STATS && virtio_device_has(dev, F_STATS_VQ))
                virtio_device_drain(dev, queue, take_stats);
        else if (virtio_device_has(dev, F_REPORTING))
                virtio_device_drain(dev, queue, report);
}

static int balloon_reset(VirtioDevice *dev) {
        VirtioBalloon *balloon = balloon_of(dev);

        balloon->has_stats_buffer = balloon->asked = false;
        le32_store(balloon->config + CONFIG_ACTUAL, 0);
        balloon->n_resets++;
        (void) eventfd_write(balloon->wake_fd, 1);
        return 0;
}

static void balloon_suspend(VirtioDevice *dev) {
        balloon_of(dev)->suspended = true;
}

static void balloon_resume(VirtioDevice *dev) {
        VirtioBalloon *balloon = balloon_of(dev);

        balloon->suspended = false;
        if (balloon->asked)
                ask(balloon);
}

static void balloon_snapshot(VirtioDevice *dev, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_ARRAY(VirtioBalloon, config),
                SNAPSHOT_BOOL(VirtioBalloon, has_stats_buffer),
                SNAPSHOT_UINT(VirtioBalloon, stats_head),
        };
        VirtioBalloon *balloon = balloon_of(dev);

        snapshot_members(s, fields, balloon);
        if (snapshot_restored(s) && balloon->has_stats_buffer &&
            !virtq_is_under_way(dev->queues + QUEUE_STATS, balloon->stats_head))
                snapshot_refuse(s, "the buffer for statistics is none of its queue's");
}

static VirtioDevice *balloon_free(VirtioDevice *dev) {
        VirtioBalloon *balloon = balloon_of(dev);

        loop_remove(balloon->wake);
        (void) fd_close(balloon->wake_fd);
        free(balloon);
        return NULL;
}

static const VirtioOps balloon_ops = {
        .name = "virtio-balloon",
        .type = VIRTIO_TYPE_BALLOON,
        .notify = balloon_notify,
        .reset = balloon_reset,
        .config_write = balloon_config_write,
        .suspend = balloon_suspend,
        .resume = balloon_resume,
        .snapshot = balloon_snapshot,
        .free = balloon_free,
};

/**
 * virtio_balloon_new() - a balloon
 * @config: copied
 *
 * Return: 0 or negative errno.
 */
int virtio_balloon_new(const VirtioBalloonConfig *config, VirtioDevice **ret) {
        _cleanup_(virtio_device_freep) VirtioDevice *dev = NULL;
        VirtioBalloon *balloon;
        int r;

        balloon = calloc(1, sizeof(*balloon));
        if (!balloon)
                return -ENOMEM;
        dev = &balloon->dev;
        dev->ops = &balloon_ops;
        dev->offered = F_STATS_VQ | (config->strict ? 0 : F_DEFLATE_ON_OOM) |
                       (config->reporting ? F_REPORTING : 0);
        dev->config = balloon->config;
        dev->config_len = sizeof(balloon->config);
        dev->n_queues = N_QUEUES;
        for (unsigned i = 0; i < N_QUEUES; i++)
                dev->queue_size_max[i] = QUEUE_SIZE;
        balloon->handlers = *config;
        le32_store(balloon->config + CONFIG_NUM_PAGES,
                   (uint32_t) MIN(config->target_bytes / MEMMAP_PAGE_SIZE, (uint64_t) UINT32_MAX));
        balloon->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (balloon->wake_fd < 0)
                return -errno;
        r = loop_add_fd(config->loop, balloon->wake_fd, EPOLLIN, woken, balloon, &balloon->wake);
        if (r < 0)
                return r;
        *ret = TAKE(dev);
        return 0;
}
