/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "vmm/block/aio.h"

/*
 * The io_uring engine. At most URING_DEPTH requests are with the kernel, so that its completion ring cannot overflow;
 * further ones wait here. What the page cache has is complete when the submission returns, and is taken right there; of
 * other completions the loop learns through an eventfd.
 */

#define URING_DEPTH 128u
#define URING_RETRY_NSEC (10 * NSEC_PER_SEC / 1000)

typedef struct Uring {
        Aio aio;
        struct io_uring ring;
        bool ring_valid;
        int event_fd; /* owned */
        LoopSource *completions, *retry;
        unsigned n_started; /* prepared or with the kernel */
        bool reaping;       /* further up the stack */
        AioFifo waiting;
} Uring;

static void prepare(struct io_uring_sqe *sqe, const AioRequest *req) {
        const int rw_flags = req->uncached ? RWF_DONTCACHE : 0;

        switch (req->kind) {
        case AIO_READ:
                io_uring_prep_readv2(sqe, req->fd, req->iov, req->n_iov, req->offset, rw_flags);
                break;
        case AIO_WRITE:
                io_uring_prep_writev2(sqe, req->fd, req->iov, req->n_iov, req->offset, rw_flags);
                break;
        case AIO_SYNC:
                io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC);
                break;
        case AIO_ALLOCATE:
                io_uring_prep_fallocate(sqe, req->fd, req->mode, (off_t) req->offset,
                                        (off_t) req->len);
                break;
        case AIO_PAGEOUT:
                io_uring_prep_madvise(sqe, req->iov->iov_base, (off_t) req->iov->iov_len,
                                      MADV_PAGEOUT);
                break;
        }
}

static void fill(Uring *uring) {
        while (uring->waiting.first && uring->n_started < URING_DEPTH) {
                struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
                AioRequest *req = sqe ? aio_fifo_pop(&uring->waiting) : NULL;

                if (!req)
                        return; /* the next submit makes room */
                prepare(sqe, req);
                io_uring_sqe_set_data(sqe, req);
                uring->n_started++;
        }
}

static void uring_start(Aio *aio, AioRequest *req) {
        aio_fifo_push(&((Uring *) aio)->waiting, req);
}

/* The kernel may lack memory for the moment. If it holds nothing of ours, no completion will wake us to try again. */
static void submit_waiting(Uring *uring) {
        int r;

        fill(uring);
        if (io_uring_sq_ready(&uring->ring) == 0)
                return;
        r = io_uring_submit(&uring->ring);
        if (r < 0 && r != -EINTR)
                log_debug("submit to io_uring: errno %d, trying again", -r);
        if (io_uring_sq_ready(&uring->ring) > 0)
                (void) loop_set_timer(uring->retry, clock_monotonic_nsec() + URING_RETRY_NSEC);
}

/* Ends up to @max requests that the kernel has completed. Return: how many. */
static unsigned reap(Uring *uring, unsigned max) {
        struct io_uring_cqe *cqe;
        unsigned n = 0;

        uring->reaping = true;
        while (n < max && io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
                AioRequest *req = io_uring_cqe_get_data(cqe);
                int64_t result = cqe->res;

                io_uring_cqe_seen(&uring->ring, cqe);
                uring->n_started--;
                n++;
                req->done(req, result);
        }
        uring->reaping = false;
        return n;
}

static void uring_submit(Aio *aio) {
        Uring *uring = (Uring *) aio;

        submit_waiting(uring);
        /* Once only: what completes at once again and again must not keep the loop from other devices. */
        if (!uring->reaping && reap(uring, URING_DEPTH) > 0)
                submit_waiting(uring);
}

static void retry_due(void *userdata) {
        uring_submit(userdata);
}

static void completed(void *userdata, int fd, uint32_t events) {
        Uring *uring = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        if (reap(uring, URING_DEPTH) == URING_DEPTH)
                (void) eventfd_write(fd, 1);
        uring_submit(&uring->aio);
}

static void cancel_waiting(Uring *uring) {
        AioRequest *req;

        while ((req = aio_fifo_pop(&uring->waiting)))
                req->done(req, -ECANCELED);
}

static void uring_drain(Aio *aio) {
        Uring *uring = (Uring *) aio;
        struct io_uring_cqe *cqe;

        /* A request that ends may start another, which then waits in the list and is cancelled. */
        cancel_waiting(uring);
        while (uring->n_started > 0) {
                (void) io_uring_submit_and_wait(&uring->ring, 1);
                (void) io_uring_wait_cqe(&uring->ring, &cqe);
                reap(uring, UINT32_MAX);
                cancel_waiting(uring);
        }
}

static Aio *uring_free(Aio *aio) {
        Uring *uring = (Uring *) aio;

        loop_remove(uring->completions);
        loop_remove(uring->retry);
        if (uring->ring_valid)
                io_uring_queue_exit(&uring->ring);
        fd_close(uring->event_fd);
        free(uring);
        return NULL;
}

static const AioOps uring_ops = {
        .name = "io_uring",
        .start = uring_start,
        .submit = uring_submit,
        .drain = uring_drain,
        .free = uring_free,
};

static void uring_cleanup(Uring **uring) {
        if (*uring)
                uring_free(&(*uring)->aio);
}

static const uint8_t operations[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                     IORING_OP_FALLOCATE, IORING_OP_MADVISE};

static bool knows_operations(struct io_uring *ring) {
        struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
        bool all = probe;

        for (size_t i = 0; i < ELEMENTSOF(operations) && all; i++)
                all = io_uring_opcode_supported(probe, operations[i]);
        io_uring_free_probe(probe);
        return all;
}

/*
 * Seccomp does not see what is asked for through a ring, which can open files and make connections as well: so the ring
 * itself is told what it may ever do, before it is switched on. liburing 2.3 declares functions for both and has none.
 */
static int restrict_operations(struct io_uring *ring) {
        struct io_uring_restriction allowed[ELEMENTSOF(operations)] = {0};

        for (size_t i = 0; i < ELEMENTSOF(operations); i++) {
                allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
                allowed[i].sqe_op = operations[i];
        }
        if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
                    ELEMENTSOF(allowed)) < 0)
                return -errno;
        return syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
                       0) < 0
                       ? -errno
                       : 0;
}

/**
 * aio_uring_new() - an engine on io_uring
 *
 * Return: 0; -ENOSYS, -EPERM, -EOPNOTSUPP and others where the host has none for us.
 */
int aio_uring_new(Loop *loop, Aio **ret) {
        _cleanup_(uring_cleanup) Uring *uring = NULL;
        int r;

        uring = calloc(1, sizeof(*uring));
        if (!uring)
                return -ENOMEM;
        uring->aio = (Aio){.ops = &uring_ops, .refs = 1};
        uring->event_fd = -EBADF;

        r = io_uring_queue_init(URING_DEPTH, &uring->ring, IORING_SETUP_R_DISABLED);
        if (r < 0)
                return r;
        uring->ring_valid = true;
        if (!knows_operations(&uring->ring))
                return -EOPNOTSUPP;

        uring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (uring->event_fd < 0)
                return -errno;
        r = io_uring_register_eventfd(&uring->ring, uring->event_fd);
        if (r < 0)
                return r;
        r = restrict_operations(&uring->ring);
        if (r < 0)
                return r;
        r = loop_add_fd(loop, uring->event_fd, EPOLLIN, completed, uring, &uring->completions);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, retry_due, uring, &uring->retry);
        if (r < 0)
                return r;

        *ret = &TAKE(uring)->aio;
        return 0;
}
