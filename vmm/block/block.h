/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk as the virtio-blk frontend sees it: asynchronous requests on a byte-addressed image. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/block/aio.h"
#include "vmm/event/loop.h"

typedef struct BlockDev BlockDev;

/** BlockDoneFn - a request ended, on the loop thread that owns the device; @r is 0 or negative errno */
typedef void (*BlockDoneFn)(void *userdata, int r);

/*
 * Implemented per image format; called on the thread of the loop the device was opened on; nothing may block there.
 * Offsets and lengths are bytes inside the capacity (the frontend has checked). The iovec array is borrowed until
 * @done runs. @done may run before the call returns. A negative return means that @done will not run.
 */
typedef struct BlockOps {
        const char *name;
        int (*readv)(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                     BlockDoneFn done, void *userdata);
        int (*writev)(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                      BlockDoneFn done, void *userdata);
        int (*flush)(BlockDev *dev, BlockDoneFn done, void *userdata);
        /* Optional. Discarded bytes may read as anything afterwards. */
        int (*discard)(BlockDev *dev, uint64_t offset, uint64_t len, BlockDoneFn done,
                       void *userdata);
        /* Optional. @unmap: the space may be given back to the host. */
        int (*write_zeroes)(BlockDev *dev, uint64_t offset, uint64_t len, bool unmap,
                            BlockDoneFn done, void *userdata);
        /* Optional. Hands all that was asked for since the last call to the host; requests may start no earlier. */
        void (*submit)(BlockDev *dev);
        /* Optional. Changes .size_bytes; the host's file system is waited for. -EINVAL for a block device of another size. */
        int (*resize)(BlockDev *dev, uint64_t size_bytes);
        /* On the loop's thread, or after it ended. Ends what is in flight: every @done runs before this returns. */
        BlockDev *(*free)(BlockDev *dev);
} BlockOps;

struct BlockDev {
        const BlockOps *ops;
        uint64_t size_bytes; /* capacity */
        uint32_t
                align_bytes; /* offsets and lengths are multiples of it, or the request fails; 1 = any */
        uint32_t optimal_bytes; /* good size and alignment of a request, 0 = unknown */
        bool read_only;
        bool discards; /* discard() and unmapping reach the host */
};

typedef struct BlockOpenOptions {
        bool read_only;
        bool sparse;    /* discard and unmap reach the host file */
        bool direct;    /* O_DIRECT */
        bool dontcache; /* the host's page cache keeps nothing of it, where the host can */
        bool lock;      /* take a lock on the image: shared when read-only */
        AioEngine engine;
} BlockOpenOptions;

#define BLOCK_SIZE_MIN 512u /* logical blocks of a disk are powers of two between these */
#define BLOCK_SIZE_MAX 4096u
#define BLOCK_ID_MAX 20u /* bytes of its serial number */

int block_open(const char *path, const BlockOpenOptions *options, Loop *loop, BlockDev **ret,
               TextError *reterr);

/* Whether the host's kernel reads and writes guest memory itself, past its cache, while a request is under way. */
static inline bool block_is_direct(const BlockDev *dev) {
        return dev->align_bytes > 1;
}

static inline void block_submit(BlockDev *dev) {
        if (dev->ops->submit)
                dev->ops->submit(dev);
}

static inline BlockDev *block_free(BlockDev *dev) {
        return dev ? dev->ops->free(dev) : NULL;
}
DEFINE_CLEANUP(BlockDev *, block_free)

/* geometry.c: what every kind of disk makes of an image */
int block_check_disk(const BlockDev *image, unsigned block_size, const char *id, TextError *reterr);
uint8_t block_physical_exponent(const BlockDev *image, unsigned block_size);
int block_resize(BlockDev *image, unsigned block_size, uint64_t size_bytes);
