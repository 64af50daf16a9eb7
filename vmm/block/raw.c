/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "vmm/block/block_internal.h"

/*
 * An image whose bytes are the disk's. Reads and writes go straight between the file and the guest's buffers, with
 * two exceptions that pass through one bounce buffer, one request at a time: direct access to buffers that are not
 * aligned for it, and writes to the first bytes. The latter decide what the image is taken for when it is opened the
 * next time; a guest that could turn its raw disk into a composite one would name files of the host to itself.
 */

#define RAW_BOUNCE_BYTES (256u * 1024u)
#define RAW_ZERO_PAGE 4096u
#define RAW_ZERO_PAGES 256u /* in one write */

typedef struct RawDev RawDev;
typedef struct RawRequest RawRequest;

/* What to do next with the request, at its @offset for its @left bytes. */
typedef void (*RawStepFn)(RawRequest *req);

struct RawRequest {
        AioRequest aio;
        RawDev *raw;
        BlockDoneFn done;
        void *userdata;
        RawStepFn step;
        uint64_t offset, left;
        bool unmap;

        /* Reads and writes. */
        const struct iovec *iov; /* borrowed */
        unsigned n_iov;
        uint64_t moved;     /* bytes of @iov that are done */
        struct iovec *rest; /* owned; what is left of @iov after a short read or write */
};

struct RawDev {
        BlockDev dev;
        BlockFile file;
        Aio *aio;                                         /* shared */
        bool cannot_punch, cannot_zero, cannot_dontcache; /* the file system said so */
        RateLimit complaints;

        uint8_t *bounce;           /* owned, made when first needed */
        struct iovec bounce_iov;   /* what of it is in use */
        RawRequest *bounce_holder; /* borrowed */
        AioFifo bounce_waiting;
        bool bounce_starting; /* bounce_next() is on the stack */
};

static const uint8_t zero_page[RAW_ZERO_PAGE] __attribute__((aligned(RAW_ZERO_PAGE)));

static void bounce_next(RawDev *raw);

static void end(RawRequest *req, int r) {
        RawDev *raw = req->raw;
        BlockDoneFn done = req->done;
        void *userdata = req->userdata;

        if (raw->bounce_holder == req)
                raw->bounce_holder = NULL;
        free(req->rest);
        free(req);
        done(userdata, r);
        bounce_next(raw);
}

/* The guest has an I/O error and does not know why: whoever runs it learns that from the log. */
static void complain(const RawRequest *req, int r) {
        static const char *const verbs[] = {
                [AIO_READ] = "read",
                [AIO_WRITE] = "write",
                [AIO_SYNC] = "flush",
                [AIO_ALLOCATE] = "discard or zero",
        };
        RawDev *raw = req->raw;

        if (ratelimit_allow(&raw->complaints, clock_monotonic_usec()))
                log_warning("%s: cannot %s at byte %llu: %s", raw->file.name ?: "a disk",
                            verbs[req->aio.kind], (unsigned long long) req->offset, strerror(-r));
}

static void finish(RawRequest *req, int r) {
        if (r < 0)
                complain(req, r);
        end(req, r);
}

static void start_io(RawRequest *req) {
        req->aio.uncached = req->raw->file.dontcache && !req->raw->cannot_dontcache;
        aio_start(req->raw->aio, &req->aio);
}

/* ---- reads and writes without detour ---- */

static void step_straight(RawRequest *req) {
        const struct iovec *iov = req->iov;
        unsigned n = req->n_iov;

        if (req->moved > 0) {
                if (!req->rest)
                        req->rest = calloc(req->n_iov, sizeof(*req->rest));
                if (!req->rest) {
                        finish(req, -ENOMEM);
                        return;
                }
                n = iov_slice(req->iov, req->n_iov, req->moved, req->left, req->rest);
                iov = req->rest;
        }
        req->aio.offset = req->offset;
        req->aio.iov = iov;
        req->aio.n_iov = n;
        start_io(req);
}

/* The host may do less than asked, and does nothing where the file has been cut short behind our back. */
static void io_done(AioRequest *aio, int64_t result) {
        RawRequest *req = CONTAINER_OF(aio, RawRequest, aio);

        if (aio->uncached && (result == -EOPNOTSUPP || result == -EINVAL)) {
                if (!req->raw->cannot_dontcache)
                        log_debug("the host cannot keep a disk out of its page cache");
                req->raw->cannot_dontcache = true;
                req->step(req);
                return;
        }
        if (result == -EINTR || result == -EAGAIN)
                result = 0;
        else if (result == 0)
                result = -EIO;
        if (result < 0) {
                finish(req, (int) result);
                return;
        }

        req->offset += (uint64_t) result;
        req->moved += (uint64_t) result;
        req->left -= (uint64_t) result;
        if (req->left == 0)
                finish(req, 0);
        else
                req->step(req);
}

/* ---- reads and writes through the bounce buffer ---- */

static void step_bounce(RawRequest *req);

/* Lets the next one have the buffer. A request that fails at once comes back here: the outer call goes on. */
static void bounce_next(RawDev *raw) {
        if (raw->bounce_starting)
                return;
        raw->bounce_starting = true;
        while (!raw->bounce_holder && raw->bounce_waiting.first) {
                AioRequest *next = aio_fifo_pop(&raw->bounce_waiting);

                raw->bounce_holder = CONTAINER_OF(next, RawRequest, aio);
                step_bounce(raw->bounce_holder);
        }
        raw->bounce_starting = false;
}

static void bounce_read_done(AioRequest *aio, int64_t result) {
        RawRequest *req = CONTAINER_OF(aio, RawRequest, aio);

        if (result > 0)
                iov_scatter(req->iov, req->n_iov, req->moved, req->raw->bounce, (size_t) result);
        io_done(aio, result);
}

static void step_bounce(RawRequest *req) {
        RawDev *raw = req->raw;
        size_t len = (size_t) MIN(req->left, (uint64_t) RAW_BOUNCE_BYTES);

        if (req->aio.kind == AIO_WRITE) {
                iov_gather(req->iov, req->n_iov, req->moved, raw->bounce, len);
                if (req->offset == 0 && composite_is(raw->bounce, len)) {
                        log_debug("refusing a write that would make the disk a composite one");
                        end(req, -EPERM);
                        return;
                }
        }
        raw->bounce_iov = (struct iovec){.iov_base = raw->bounce, .iov_len = len};
        req->aio.offset = req->offset;
        req->aio.iov = &raw->bounce_iov;
        req->aio.n_iov = 1;
        start_io(req);
}

static bool aligned_for_direct(const struct iovec *iov, unsigned n, uint32_t align) {
        for (unsigned i = 0; i < n; i++)
                if ((uintptr_t) iov[i].iov_base % align != 0 || iov[i].iov_len % align != 0)
                        return false;
        return true;
}

static int raw_io(RawDev *raw, AioKind kind, uint64_t offset, const struct iovec *iov,
                  unsigned n_iov, BlockDoneFn done, void *userdata) {
        uint64_t len = iov_total(iov, n_iov);
        uint32_t align = raw->file.align_bytes;
        bool bounce = (kind == AIO_WRITE && offset < COMPOSITE_MAGIC_LEN) ||
                      !aligned_for_direct(iov, n_iov, align);
        RawRequest *req;

        if (len == 0 || (offset | len) % align != 0 ||
            !range_within(offset, len, raw->dev.size_bytes))
                return -EINVAL;
        if (bounce && !raw->bounce) {
                raw->bounce = aligned_alloc(RAW_ZERO_PAGE, RAW_BOUNCE_BYTES);
                if (!raw->bounce)
                        return -ENOMEM;
        }
        req = calloc(1, sizeof(*req));
        if (!req)
                return -ENOMEM;

        *req = (RawRequest){
                .aio = {.kind = kind,
                        .fd = raw->file.fd,
                        .done = bounce && kind == AIO_READ ? bounce_read_done : io_done},
                .raw = raw,
                .done = done,
                .userdata = userdata,
                .step = bounce ? step_bounce : step_straight,
                .offset = offset,
                .left = len,
                .iov = iov,
                .n_iov = n_iov,
        };
        if (bounce) {
                aio_fifo_push(&raw->bounce_waiting, &req->aio);
                bounce_next(raw);
        } else
                step_straight(req);
        return 0;
}

static int raw_readv(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                     BlockDoneFn done, void *userdata) {
        return raw_io((RawDev *) dev, AIO_READ, offset, iov, n_iov, done, userdata);
}

static int raw_writev(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                      BlockDoneFn done, void *userdata) {
        if (dev->read_only)
                return -EROFS;
        return raw_io((RawDev *) dev, AIO_WRITE, offset, iov, n_iov, done, userdata);
}

/* ---- flush ---- */

static void sync_done(AioRequest *aio, int64_t result) {
        finish(CONTAINER_OF(aio, RawRequest, aio), (int) MIN(result, (int64_t) 0));
}

static int raw_flush(BlockDev *dev, BlockDoneFn done, void *userdata) {
        RawDev *raw = (RawDev *) dev;
        RawRequest *req;

        req = calloc(1, sizeof(*req));
        if (!req)
                return -ENOMEM;
        *req = (RawRequest){.aio = {.kind = AIO_SYNC, .fd = raw->file.fd, .done = sync_done},
                            .raw = raw,
                            .done = done,
                            .userdata = userdata};
        aio_start(raw->aio, &req->aio);
        return 0;
}

/* ---- discard and zeroes ---- */

static bool unsupported(int64_t result) {
        return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV;
}

static void start_allocate(RawRequest *req, int mode, void (*done)(AioRequest *, int64_t)) {
        req->aio = (AioRequest){
                .kind = AIO_ALLOCATE,
                .fd = req->raw->file.fd,
                .offset = req->offset,
                .len = req->left,
                .mode = mode | FALLOC_FL_KEEP_SIZE,
                .done = done,
        };
        aio_start(req->raw->aio, &req->aio);
}

/* Discarding is a hint: a file system that has no holes makes it a success without effect. */
static void discard_done(AioRequest *aio, int64_t result) {
        RawRequest *req = CONTAINER_OF(aio, RawRequest, aio);

        if (unsupported(result))
                result = 0;
        finish(req, (int) result);
}

static void step_discard(RawRequest *req) {
        start_allocate(req, FALLOC_FL_PUNCH_HOLE, discard_done);
}

/* Zeroes by plain writes of one page over and over, for file systems that know no better. */
static void step_write_zeroes(RawRequest *req) {
        size_t n = (size_t) MIN((req->left + RAW_ZERO_PAGE - 1) / RAW_ZERO_PAGE,
                                (uint64_t) RAW_ZERO_PAGES);

        req->step = step_write_zeroes;
        if (!req->rest)
                req->rest = calloc(RAW_ZERO_PAGES, sizeof(*req->rest));
        if (!req->rest) {
                finish(req, -ENOMEM);
                return;
        }
        for (size_t i = 0; i < n; i++)
                req->rest[i] = (struct iovec){
                        .iov_base = (void *) (uintptr_t) zero_page,
                        .iov_len = (size_t) MIN(req->left - i * RAW_ZERO_PAGE,
                                                (uint64_t) RAW_ZERO_PAGE),
                };
        req->aio = (AioRequest){
                .kind = AIO_WRITE,
                .fd = req->raw->file.fd,
                .offset = req->offset,
                .iov = req->rest,
                .n_iov = (unsigned) n,
                .done = io_done,
        };
        aio_start(req->raw->aio, &req->aio);
}

static void zero_range_done(AioRequest *aio, int64_t result) {
        RawRequest *req = CONTAINER_OF(aio, RawRequest, aio);

        if (!unsupported(result)) {
                finish(req, (int) result);
                return;
        }
        req->raw->cannot_zero = true;
        step_write_zeroes(req);
}

static void step_zero_range(RawRequest *req) {
        if (req->raw->cannot_zero)
                step_write_zeroes(req);
        else
                start_allocate(req, FALLOC_FL_ZERO_RANGE, zero_range_done);
}

static void punch_done(AioRequest *aio, int64_t result) {
        RawRequest *req = CONTAINER_OF(aio, RawRequest, aio);

        if (!unsupported(result)) {
                finish(req, (int) result);
                return;
        }
        req->raw->cannot_punch = true;
        step_zero_range(req);
}

static void step_zeroes(RawRequest *req) {
        if (req->unmap && req->raw->file.sparse && !req->raw->cannot_punch)
                start_allocate(req, FALLOC_FL_PUNCH_HOLE, punch_done);
        else
                step_zero_range(req);
}

static int raw_range(RawDev *raw, RawStepFn step, uint64_t offset, uint64_t len, bool unmap,
                     BlockDoneFn done, void *userdata) {
        RawRequest *req;

        if (raw->dev.read_only)
                return -EROFS;
        if ((offset | len) % raw->file.align_bytes != 0 ||
            !range_within(offset, len, raw->dev.size_bytes))
                return -EINVAL;
        if (len == 0) { /* fallocate(2) takes no empty range */
                done(userdata, 0);
                return 0;
        }
        req = calloc(1, sizeof(*req));
        if (!req)
                return -ENOMEM;
        *req = (RawRequest){.raw = raw,
                            .done = done,
                            .userdata = userdata,
                            .offset = offset,
                            .left = len,
                            .unmap = unmap};
        step(req);
        return 0;
}

static int raw_discard(BlockDev *dev, uint64_t offset, uint64_t len, BlockDoneFn done,
                       void *userdata) {
        return raw_range((RawDev *) dev, step_discard, offset, len, true, done, userdata);
}

static int raw_write_zeroes(BlockDev *dev, uint64_t offset, uint64_t len, bool unmap,
                            BlockDoneFn done, void *userdata) {
        return raw_range((RawDev *) dev, step_zeroes, offset, len, unmap, done, userdata);
}

/* ---- size ---- */

/* A block device has the size that it has: asking for that one takes note of it, after the host changed it. */
static int check_device_size(int fd, uint64_t size_bytes) {
        uint64_t size;

        if (ioctl(fd, BLKGETSIZE64, &size) < 0)
                return -errno;
        return size == size_bytes ? 0 : -EINVAL;
}

static int raw_resize(BlockDev *dev, uint64_t size_bytes) {
        RawDev *raw = (RawDev *) dev;
        struct stat st;
        int r = 0;

        if (size_bytes > INT64_MAX || size_bytes % dev->align_bytes != 0)
                return -EINVAL;
        if (fstat(raw->file.fd, &st) < 0)
                return -errno;
        if (S_ISBLK(st.st_mode))
                r = check_device_size(raw->file.fd, size_bytes);
        else if (ftruncate(raw->file.fd, (off_t) size_bytes) < 0)
                r = -errno;
        if (r >= 0)
                dev->size_bytes = size_bytes;
        return r;
}

/* ---- life ---- */

static void raw_submit(BlockDev *dev) {
        aio_submit(((RawDev *) dev)->aio);
}

static BlockDev *raw_free(BlockDev *dev) {
        RawDev *raw = (RawDev *) dev;

        aio_drain(raw->aio);
        aio_unref(raw->aio);
        fd_close(raw->file.fd);
        free(raw->file.name);
        free(raw->bounce);
        free(raw);
        return NULL;
}

static const BlockOps raw_ops = {
        .name = "raw",
        .readv = raw_readv,
        .writev = raw_writev,
        .flush = raw_flush,
        .discard = raw_discard,
        .write_zeroes = raw_write_zeroes,
        .submit = raw_submit,
        .resize = raw_resize,
        .free = raw_free,
};

/**
 * raw_new() - a disk on @file
 * @file:  consumed on success: its descriptor and its name are taken out
 * @aio:   a reference is taken
 *
 * Return: 0; -ENOMEM.
 */
int raw_new(BlockFile *file, Aio *aio, BlockDev **ret) {
        RawDev *raw;

        raw = calloc(1, sizeof(*raw));
        if (!raw)
                return -ENOMEM;
        raw->file = *file;
        raw->file.fd = TAKE_FD(file->fd);
        raw->file.name = TAKE(file->name);
        raw->complaints = RATELIMIT_DEFAULT;
        raw->aio = aio_ref(aio);
        raw->dev = (BlockDev){
                .ops = &raw_ops,
                .size_bytes = file->size_bytes,
                .align_bytes = file->align_bytes,
                .optimal_bytes = file->optimal_bytes,
                .read_only = file->read_only,
                .discards = file->sparse && !file->read_only,
        };
        *ret = &raw->dev;
        return 0;
}
