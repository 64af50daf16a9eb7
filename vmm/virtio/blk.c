/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/iov.h"
#include "base/le.h"
#include "vmm/virtio/devices.h"

/*
 * The block device (virtio 1.2 section 5.2). A request is taken from its queue, checked, and handed to the BlockDev;
 * what a request needs until it ends is in one BlkRequest, since a guest may have a ring of them under way on each
 * queue. All of this runs on the device's loop; only reset comes from a vCPU thread, and it touches nothing but the
 * counters under the device's lock.
 */

#define BLK_F_SEG_MAX (UINT64_C(1) << 2)
#define BLK_F_RO (UINT64_C(1) << 5)
#define BLK_F_BLK_SIZE (UINT64_C(1) << 6)
#define BLK_F_FLUSH (UINT64_C(1) << 9)
#define BLK_F_TOPOLOGY (UINT64_C(1) << 10)
#define BLK_F_MQ (UINT64_C(1) << 12)
#define BLK_F_DISCARD (UINT64_C(1) << 13)
#define BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

#define BLK_T_IN 0u
#define BLK_T_OUT 1u
#define BLK_T_FLUSH 4u
#define BLK_T_GET_ID 8u
#define BLK_T_DISCARD 11u
#define BLK_T_WRITE_ZEROES 13u

#define BLK_S_OK 0u
#define BLK_S_IOERR 1u
#define BLK_S_UNSUPPORTED 2u

#define BLK_SECTOR 512u
#define BLK_HEADER_LEN 16u
#define BLK_QUEUE_SIZE 256u
#define BLK_SEG_MAX (VIRTQ_CHAIN_MAX - 2) /* beside header and status */

/* Ranges of one discard or write-zeroes request, and sectors of one range. */
#define BLK_RANGES_MAX 16u
#define BLK_RANGE_LEN 16u
#define BLK_RANGE_SECTORS_MAX 0x400000u
#define BLK_RANGE_UNMAP 0x1u

#define BLK_CONFIG_LEN 60u
#define BLK_CONFIG_BLOCK_SIZE 20u

typedef struct BlkRange {
        uint64_t offset, len; /* bytes */
        bool unmap;
} BlkRange;

typedef struct VirtioBlk VirtioBlk;

typedef struct BlkRequest {
        VirtioBlk *blk; /* owner */
        unsigned queue;
        uint32_t head;
        uint32_t type;
        uint32_t in_bytes; /* of all buffers to write, the status byte included */
        uint8_t *status;   /* in guest memory */
        bool sync;         /* flush before it ends: the driver relies on write-through */
        uint64_t offset;   /* bytes */
        BlkRange *ranges;  /* owned; for discard and write zeroes */
        unsigned n_ranges, next_range;
        unsigned n_iov;
        struct iovec iov[];
} BlkRequest;

struct VirtioBlk {
        VirtioDevice dev;
        BlockDev *disk; /* owned */
        uint8_t config[BLK_CONFIG_LEN];
        char id[BLOCK_ID_MAX];
        unsigned n_pending; /* requests that the disk has */
        bool resetting;     /* requests that end are forgotten; the last one ends the reset */
        bool closing;       /* requests that end are forgotten */
        bool locked;        /* loop thread: the lock is held further up the stack */
        uint32_t answered;  /* bit per queue: the driver has not been told yet */
};

static BlkRequest *request_free(BlkRequest *req) {
        if (!req)
                return NULL;
        free(req->ranges);
        free(req);
        return NULL;
}
DEFINE_CLEANUP(BlkRequest *, request_free)

/* ---- the end of a request ---- */

static uint8_t status_of(int r) {
        if (r >= 0)
                return BLK_S_OK;
        return r == -EOPNOTSUPP ? BLK_S_UNSUPPORTED : BLK_S_IOERR;
}

/* Gives @req back to the driver and frees it. */
static void answer(BlkRequest *req, int r) {
        VirtioBlk *blk = req->blk;
        uint8_t status = status_of(r);
        /* Of a failed read only the status counts, and it lies behind bytes that were not written. */
        uint32_t written = status == BLK_S_OK || req->in_bytes == 1 ? req->in_bytes : 0;

        __atomic_store_n(req->status, status, __ATOMIC_RELAXED);
        virtq_push(blk->dev.queues + req->queue, req->head, written);
        request_free(req);
}

static void ended(BlkRequest *req, int r) {
        VirtioBlk *blk = req->blk;
        unsigned queue = req->queue;

        blk->n_pending--;
        if (status_of(r) == BLK_S_IOERR)
                blk->dev.n_host_errors++;
        if (!blk->closing && !blk->resetting) {
                answer(req, r);
                blk->answered |= UINT32_C(1) << queue;
                if (blk->n_pending == 0)
                        virtio_device_rested(&blk->dev);
                return;
        }
        request_free(req);
        if (blk->resetting && blk->n_pending == 0) {
                blk->resetting = false;
                virtio_device_reset_done(&blk->dev);
                virtio_device_rested(&blk->dev);
        }
}

/* ---- steps ---- */

static void step_done(void *userdata, int r);

static int start_range(BlkRequest *req) {
        BlockDev *disk = req->blk->disk;
        const BlkRange *range = req->ranges + req->next_range++;

        if (req->type == BLK_T_DISCARD)
                return disk->ops->discard(disk, range->offset, range->len, step_done, req);
        return disk->ops->write_zeroes(disk, range->offset, range->len, range->unmap, step_done,
                                       req);
}

/* Asks the disk for the next thing that @req needs. Return: 0; negative errno when step_done() will not come. */
static int start_step(BlkRequest *req) {
        BlockDev *disk = req->blk->disk;

        if (req->type == BLK_T_IN)
                return disk->ops->readv(disk, req->offset, req->iov, req->n_iov, step_done, req);
        if (req->type == BLK_T_OUT)
                return disk->ops->writev(disk, req->offset, req->iov, req->n_iov, step_done, req);
        if (req->type == BLK_T_FLUSH)
                return disk->ops->flush(disk, step_done, req);
        return start_range(req);
}

static void run(BlkRequest *req) {
        int r = start_step(req);

        if (r < 0)
                ended(req, r);
}

static void next_step(BlkRequest *req, int r) {
        VirtioBlk *blk = req->blk;

        if (r >= 0 && !blk->closing && !blk->resetting) {
                if (req->next_range < req->n_ranges) {
                        run(req);
                        return;
                }
                if (req->sync) {
                        req->sync = false;
                        req->type = BLK_T_FLUSH;
                        run(req);
                        return;
                }
        }
        ended(req, r);
}

/* Requests that end together are told of together. */
static void tell_driver(VirtioBlk *blk) {
        for (unsigned i = 0; blk->answered; i++, blk->answered >>= 1)
                if (blk->answered & 1)
                        virtio_device_interrupt(&blk->dev, i);
}

/* From the disk, on the loop: inside a call of ours that holds the lock, or from a turn of its own. */
static void step_done(void *userdata, int r) {
        BlkRequest *req = userdata;
        VirtioBlk *blk = req->blk;

        if (blk->locked) {
                next_step(req, r);
                return;
        }
        virtio_device_lock(&blk->dev);
        blk->locked = true;
        next_step(req, r);
        if (!blk->closing)
                block_submit(blk->disk);
        tell_driver(blk);
        blk->locked = false;
        virtio_device_unlock(&blk->dev);
}

/* ---- the start of a request ---- */

/* Return: 0 and the byte offset; -EIO when the range is not all on the disk. */
static int check_range(const VirtioBlk *blk, uint64_t sector, uint64_t len, uint64_t *ret_offset) {
        uint64_t offset, capacity = le64_load(blk->config) * BLK_SECTOR;

        if (len % BLK_SECTOR != 0 || !MUL_CHECKED(sector, (uint64_t) BLK_SECTOR, &offset) ||
            !range_within(offset, len, capacity))
                return -EIO;
        *ret_offset = offset;
        return 0;
}

/* The driver that does not ask for flushes expects each write to be on the medium when it ends (section 5.2.6.2). */
static bool write_through(const VirtioBlk *blk) {
        return !virtio_device_has(&blk->dev, BLK_F_FLUSH);
}

static int parse_ranges(BlkRequest *req, const struct iovec *out, unsigned n_out, uint64_t len) {
        uint8_t raw[BLK_RANGES_MAX * BLK_RANGE_LEN];
        unsigned n = (unsigned) (len / BLK_RANGE_LEN);
        bool zeroes = req->type == BLK_T_WRITE_ZEROES;

        if (len == 0 || len % BLK_RANGE_LEN != 0 || len > sizeof(raw))
                return -EIO;
        iov_gather(out, n_out, BLK_HEADER_LEN, raw, len);
        req->ranges = calloc(n, sizeof(*req->ranges));
        if (!req->ranges)
                return -ENOMEM;

        for (unsigned i = 0; i < n; i++) {
                const uint8_t *p = raw + BLK_RANGE_LEN * i;
                uint32_t sectors = le32_load(p + 8), flags = le32_load(p + 12);
                BlkRange *range = req->ranges + i;
                int r;

                if (flags & ~(zeroes ? BLK_RANGE_UNMAP : 0))
                        return -EOPNOTSUPP;
                if (sectors > BLK_RANGE_SECTORS_MAX)
                        return -EIO;
                range->len = (uint64_t) sectors * BLK_SECTOR;
                range->unmap = flags & BLK_RANGE_UNMAP;
                r = check_range(req->blk, le64_load(p), range->len, &range->offset);
                if (r < 0)
                        return r;
        }
        req->n_ranges = n;
        return 0;
}

static int prepare_io(BlkRequest *req, uint64_t sector, const struct iovec *iov, unsigned n,
                      size_t skip, uint64_t len) {
        req->n_iov = iov_slice(iov, n, skip, len, req->iov);
        return check_range(req->blk, sector, len, &req->offset);
}

/*
 * Fills @req from a chain whose header is @type and @sector.
 * Return: 0 when the disk has work to do, 1 when the request is complete, negative errno when it failed.
 */
static int prepare(BlkRequest *req, uint64_t sector, const VirtqChain *chain) {
        VirtioBlk *blk = req->blk;
        const struct iovec *out = chain->iov, *in = chain->iov + chain->n_out;
        uint64_t out_len = chain->out_bytes - BLK_HEADER_LEN, in_len = chain->in_bytes - 1;
        uint64_t feature = 0;
        int r;

        switch (req->type) {
        case BLK_T_IN:
                r = prepare_io(req, sector, in, chain->n_in, 0, in_len);
                return r == 0 && in_len == 0 ? 1 : r;
        case BLK_T_OUT:
                if (blk->disk->read_only)
                        return -EROFS;
                req->sync = write_through(blk);
                r = prepare_io(req, sector, out, chain->n_out, BLK_HEADER_LEN, out_len);
                return r == 0 && out_len == 0 ? 1 : r;
        case BLK_T_FLUSH:
                return blk->disk->ops->flush && !blk->disk->read_only ? 0 : 1;
        case BLK_T_GET_ID:
                iov_scatter(in, chain->n_in, 0, blk->id, (size_t) MIN(in_len, sizeof(blk->id)));
                return 1;
        case BLK_T_DISCARD:
                feature = BLK_F_DISCARD;
                break;
        case BLK_T_WRITE_ZEROES:
                feature = BLK_F_WRITE_ZEROES;
                break;
        default:
                return -EOPNOTSUPP;
        }

        if (!virtio_device_has(&blk->dev, feature))
                return -EOPNOTSUPP;
        req->sync = write_through(blk);
        return parse_ranges(req, out, chain->n_out, out_len);
}

static uint8_t *last_byte(const VirtqChain *chain) {
        const struct iovec *last = chain->iov + chain->n_out + chain->n_in - 1;

        return (uint8_t *) last->iov_base + last->iov_len - 1;
}

static void blk_handle(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VirtioBlk *blk = (VirtioBlk *) dev;
        _cleanup_(request_freep) BlkRequest *req = NULL;
        unsigned n_iov = chain->n_out + chain->n_in;
        uint8_t header[BLK_HEADER_LEN];
        int r;

        if (chain->in_bytes == 0 ||
            iov_gather(chain->iov, chain->n_out, 0, header, sizeof(header)) < sizeof(header)) {
                virtio_device_broken(dev, "block request without room for header and status");
                return;
        }
        req = calloc(1, sizeof(*req) + n_iov * sizeof(*req->iov));
        if (!req) {
                __atomic_store_n(last_byte(chain), BLK_S_IOERR, __ATOMIC_RELAXED);
                virtq_push(dev->queues + queue, chain->head, 0);
                return;
        }
        req->blk = blk;
        req->queue = queue;
        req->head = chain->head;
        req->type = le32_load(header);
        req->in_bytes = chain->in_bytes;
        req->status = last_byte(chain);

        r = prepare(req, le64_load(header + 8), chain);
        if (r != 0) {
                answer(TAKE(req), r);
                return;
        }
        blk->n_pending++;
        run(TAKE(req));
}

static void blk_notify(VirtioDevice *dev, unsigned queue) {
        VirtioBlk *blk = (VirtioBlk *) dev;

        blk->locked = true;
        virtio_device_drain(dev, queue, blk_handle);
        block_submit(blk->disk);
        tell_driver(blk);
        blk->locked = false;
}

static int blk_reset(VirtioDevice *dev) {
        VirtioBlk *blk = (VirtioBlk *) dev;

        blk->resetting = blk->n_pending > 0;
        return blk->resetting ? VIRTIO_E_PENDING : 0;
}

static bool blk_busy(const VirtioDevice *dev) {
        return ((const VirtioBlk *) dev)->n_pending > 0;
}

/* ---- size ---- */

/** virtio_blk_describe() - @dev was made by virtio_blk_new(). On the device's loop. */
void virtio_blk_describe(VirtioDevice *dev, VirtioBlkInfo *ret) {
        const VirtioBlk *blk = (const VirtioBlk *) dev;

        *ret = (VirtioBlkInfo){.size_bytes = blk->disk->size_bytes,
                               .read_only = blk->disk->read_only};
        memcpy(ret->id, blk->id, sizeof(blk->id));
}

/**
 * virtio_blk_resize() - change the disk and tell the driver (section 5.2.5, "device-initiated")
 * @dev:        made by virtio_blk_new()
 * @size_bytes: see block_resize(), whose errors are returned; requests beyond a smaller end fail from now on
 *
 * On the device's loop, without its lock.
 */
int virtio_blk_resize(VirtioDevice *dev, uint64_t size_bytes) {
        VirtioBlk *blk = (VirtioBlk *) dev;
        int r;

        virtio_device_lock(dev);
        r = block_resize(blk->disk, le32_load(blk->config + BLK_CONFIG_BLOCK_SIZE), size_bytes);
        if (r >= 0) {
                le64_store(blk->config, size_bytes / BLK_SECTOR);
                virtio_device_config_changed(dev);
        }
        virtio_device_unlock(dev);
        return r;
}

/* ---- life ---- */

static VirtioDevice *blk_free(VirtioDevice *dev) {
        VirtioBlk *blk = (VirtioBlk *) dev;

        blk->closing = true;
        blk->resetting = false;
        blk->locked = true; /* no other thread is left, and the transport may be gone */
        block_free(blk->disk);
        assert(blk->n_pending == 0);
        free(blk);
        return NULL;
}

/* At rest there is no request that only the disk knows of. What is on the disk is the user's to keep with the snapshot. */
static void blk_snapshot(VirtioDevice *dev, Snapshot *s) {
        VirtioBlk *blk = (VirtioBlk *) dev;

        snapshot_expect(s, "the size of the disk in sectors", le64_load(blk->config));
        snapshot_expect(s, "the size of a block in bytes",
                        le32_load(blk->config + BLK_CONFIG_BLOCK_SIZE));
}

static const VirtioOps blk_ops = {
        .name = "virtio-blk",
        .type = VIRTIO_TYPE_BLOCK,
        .notify = blk_notify,
        .reset = blk_reset,
        .busy = blk_busy,
        .snapshot = blk_snapshot,
        .free = blk_free,
};

static void fill_config(VirtioBlk *blk, const VirtioBlkConfig *config) {
        const BlockDev *disk = blk->disk;
        uint32_t block = config->block_size;
        uint64_t blocks = disk->size_bytes / block;
        const uint8_t physical = block_physical_exponent(disk, block);
        uint8_t *c = blk->config;

        le64_store(c, blocks * (block / BLK_SECTOR)); /* capacity in sectors */
        le32_store(c + 12, BLK_SEG_MAX);
        le32_store(c + BLK_CONFIG_BLOCK_SIZE, block);
        c[24] = physical; /* blocks in a physical block, as exponent */
        le16_store(c + 26, (uint16_t) (1 << physical)); /* minimum good size in blocks */
        le16_store(c + 34, (uint16_t) config->n_queues);
        le32_store(c + 36, BLK_RANGE_SECTORS_MAX); /* discard: sectors, ranges, alignment */
        le32_store(c + 40, BLK_RANGES_MAX);
        le32_store(c + 44, (block << physical) / BLK_SECTOR);
        le32_store(c + 48, BLK_RANGE_SECTORS_MAX); /* write zeroes: sectors, ranges, may unmap */
        le32_store(c + 52, BLK_RANGES_MAX);
        c[56] = disk->discards;
}

static uint64_t features(const BlockDev *disk, const VirtioBlkConfig *config) {
        uint64_t f = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY;

        if (config->packed)
                f |= VIRTIO_F_RING_PACKED;
        if (config->n_queues > 1)
                f |= BLK_F_MQ;
        if (disk->read_only)
                return f | BLK_F_RO;
        f |= BLK_F_FLUSH;
        if (disk->ops->discard && disk->discards)
                f |= BLK_F_DISCARD;
        if (disk->ops->write_zeroes)
                f |= BLK_F_WRITE_ZEROES;
        return f;
}

/**
 * virtio_blk_new() - a disk
 * @disk:    consumed on success; opened on the loop that the queues will run on
 * @config:  copied
 *
 * Return: 0; -EINVAL with a sentence; -ENOMEM.
 */
int virtio_blk_new(BlockDev *disk, const VirtioBlkConfig *config, VirtioDevice **ret,
                   TextError *reterr) {
        VirtioBlk *blk;
        int r;

        if (config->n_queues < 1 || config->n_queues > VIRTIO_BLK_QUEUES_MAX)
                return text_error_set(reterr, -EINVAL, "a disk has 1 to %u queues, not %u",
                                      VIRTIO_BLK_QUEUES_MAX, config->n_queues);
        r = block_check_disk(disk, config->block_size, config->id, reterr);
        if (r < 0)
                return r;
        blk = calloc(1, sizeof(*blk));
        if (!blk)
                return -ENOMEM;

        blk->disk = disk;
        fill_config(blk, config);
        if (config->id)
                memcpy(blk->id, config->id, strlen(config->id));
        blk->dev.ops = &blk_ops;
        blk->dev.offered = features(disk, config);
        blk->dev.config = blk->config;
        blk->dev.config_len = sizeof(blk->config);
        blk->dev.n_queues = config->n_queues;
        for (unsigned i = 0; i < config->n_queues; i++)
                blk->dev.queue_size_max[i] = BLK_QUEUE_SIZE;

        *ret = &blk->dev;
        return 0;
}
