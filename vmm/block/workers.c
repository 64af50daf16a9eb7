/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/block/aio.h"
#include "vmm/jail/jail.h"

/*
 * The engine of threads that block so that the loop does not, for hosts without io_uring. Threads are made when there
 * is work and none is idle, and stay.
 */

#define WORKERS_MAX 4u
#define WORKER_STACK_BYTES (128u * 1024u)

typedef struct Workers {
        Aio aio;
        int event_fd; /* owned; signalled when @finished has grown */
        LoopSource *source;

        pthread_mutex_t lock; /* covers all below but @threads */
        pthread_cond_t work;  /* @queue has grown, or @stop */
        pthread_cond_t quiet; /* @n_busy is 0 */
        AioFifo queue, finished;
        unsigned n_idle, n_busy;
        bool stop;
        unsigned n_threads;
        pthread_t threads[WORKERS_MAX];
} Workers;

static int64_t perform(const AioRequest *req) {
        ssize_t n = -1;

        switch (req->kind) {
        case AIO_READ:
                n = req->uncached
                            ? preadv2(req->fd, req->iov, (int) req->n_iov, (off_t) req->offset,
                                      RWF_DONTCACHE)
                            : preadv(req->fd, req->iov, (int) req->n_iov, (off_t) req->offset);
                break;
        case AIO_WRITE:
                n = req->uncached
                            ? pwritev2(req->fd, req->iov, (int) req->n_iov, (off_t) req->offset,
                                       RWF_DONTCACHE)
                            : pwritev(req->fd, req->iov, (int) req->n_iov, (off_t) req->offset);
                break;
        case AIO_SYNC:
                n = fdatasync(req->fd);
                break;
        case AIO_ALLOCATE:
                n = fallocate(req->fd, req->mode, (off_t) req->offset, (off_t) req->len);
                break;
        case AIO_PAGEOUT:
                n = madvise(req->iov->iov_base, req->iov->iov_len, MADV_PAGEOUT);
                break;
        }
        return n < 0 ? -errno : n;
}

static void finish(Workers *workers, AioRequest *req, int64_t result) {
        req->result = result;
        aio_fifo_push(&workers->finished, req);
        (void) eventfd_write(workers->event_fd, 1);
}

static void *worker(void *userdata) {
        Workers *workers = userdata;

        (void) pthread_setname_np(pthread_self(), "disk");
        /* Failing it is no less confined: the filter of the loop, which made it, holds here too. */
        (void) jail_enter_role(JAIL_DISK);
        pthread_mutex_lock(&workers->lock);
        while (!workers->stop) {
                AioRequest *req = aio_fifo_pop(&workers->queue);
                int64_t result;

                if (!req) {
                        workers->n_idle++;
                        pthread_cond_wait(&workers->work, &workers->lock);
                        workers->n_idle--;
                        continue;
                }
                workers->n_busy++;
                pthread_mutex_unlock(&workers->lock);
                result = perform(req);
                pthread_mutex_lock(&workers->lock);
                finish(workers, req, result);
                if (--workers->n_busy == 0)
                        pthread_cond_broadcast(&workers->quiet);
        }
        pthread_mutex_unlock(&workers->lock);
        return NULL;
}

/* Signals are for the main thread; a thread inherits the mask that its creator has at that moment. */
static int add_thread(Workers *workers) {
        pthread_t *thread = workers->threads + workers->n_threads;
        sigset_t all, old;
        pthread_attr_t attr;
        int r;

        sigfillset(&all);
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(thread, &attr, worker, workers);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attr);
        if (r != 0)
                return -r;
        workers->n_threads++;
        return 0;
}

static void workers_start(Aio *aio, AioRequest *req) {
        Workers *workers = (Workers *) aio;
        int r = 0;

        pthread_mutex_lock(&workers->lock);
        if ((workers->n_idle == 0 || workers->queue.first) && workers->n_threads < WORKERS_MAX)
                r = add_thread(workers);
        if (workers->n_threads == 0)
                finish(workers, req, r);
        else {
                aio_fifo_push(&workers->queue, req);
                pthread_cond_signal(&workers->work);
        }
        pthread_mutex_unlock(&workers->lock);
}

static void end_finished(Workers *workers) {
        AioFifo finished;
        AioRequest *req;

        pthread_mutex_lock(&workers->lock);
        finished = workers->finished;
        workers->finished = (AioFifo){0};
        pthread_mutex_unlock(&workers->lock);

        while ((req = aio_fifo_pop(&finished)))
                req->done(req, req->result);
}

static void completed(void *userdata, int fd, uint32_t events) {
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        end_finished(userdata);
}

/* Return: whether there was anything, in which case what has ended may have started more. */
static bool drain_once(Workers *workers) {
        AioRequest *req;
        bool some;

        pthread_mutex_lock(&workers->lock);
        while ((req = aio_fifo_pop(&workers->queue)))
                finish(workers, req, -ECANCELED);
        while (workers->n_busy > 0)
                pthread_cond_wait(&workers->quiet, &workers->lock);
        some = workers->finished.first;
        pthread_mutex_unlock(&workers->lock);

        end_finished(workers);
        return some;
}

static void workers_drain(Aio *aio) {
        while (drain_once((Workers *) aio))
                ;
}

static Aio *workers_free(Aio *aio) {
        Workers *workers = (Workers *) aio;

        pthread_mutex_lock(&workers->lock);
        workers->stop = true;
        pthread_cond_broadcast(&workers->work);
        pthread_mutex_unlock(&workers->lock);
        for (unsigned i = 0; i < workers->n_threads; i++)
                pthread_join(workers->threads[i], NULL);

        loop_remove(workers->source);
        fd_close(workers->event_fd);
        pthread_cond_destroy(&workers->quiet);
        pthread_cond_destroy(&workers->work);
        pthread_mutex_destroy(&workers->lock);
        free(workers);
        return NULL;
}

static const AioOps workers_ops = {
        .name = "threads",
        .start = workers_start,
        .drain = workers_drain,
        .free = workers_free,
};

static void workers_cleanup(Workers **workers) {
        if (*workers)
                workers_free(&(*workers)->aio);
}

/** aio_workers_new() - an engine of blocking threads. Return: 0; negative errno. */
int aio_workers_new(Loop *loop, Aio **ret) {
        _cleanup_(workers_cleanup) Workers *workers = NULL;
        int r;

        workers = calloc(1, sizeof(*workers));
        if (!workers)
                return -ENOMEM;
        workers->aio = (Aio){.ops = &workers_ops, .refs = 1};
        pthread_mutex_init(&workers->lock, NULL);
        pthread_cond_init(&workers->work, NULL);
        pthread_cond_init(&workers->quiet, NULL);
        workers->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (workers->event_fd < 0)
                return -errno;
        r = loop_add_fd(loop, workers->event_fd, EPOLLIN, completed, workers, &workers->source);
        if (r < 0)
                return r;

        *ret = &TAKE(workers)->aio;
        return 0;
}
