/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asynchronous file I/O on a loop: io_uring where the host lets us, threads that block in our place elsewhere. One
 * engine serves all files of a disk. All functions are called on the loop's thread, or before it runs, or after it
 * ended; @done too.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "vmm/event/loop.h"

typedef struct Aio Aio;
typedef struct AioRequest AioRequest;

typedef enum AioKind {
        AIO_READ,
        AIO_WRITE,
        AIO_SYNC,     /* fdatasync */
        AIO_ALLOCATE, /* fallocate */
        AIO_PAGEOUT,  /* madvise(MADV_PAGEOUT) of mapped memory */
} AioKind;

/* Linux 6.14: what is read or written does not stay in the page cache. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080
#endif

/* Embedded in what the caller keeps of a request; untouched by the caller from aio_start() to @done. */
struct AioRequest {
        AioKind kind;
        int fd;
        uint64_t offset;
        /* AIO_READ, AIO_WRITE; AIO_PAGEOUT: one, the range of whole pages; borrowed with its buffers */
        const struct iovec *iov;
        unsigned n_iov;
        bool uncached; /* AIO_READ, AIO_WRITE: with RWF_DONTCACHE, which not every host and file system has */
        int mode;     /* AIO_ALLOCATE: FALLOC_FL_* */
        uint64_t len; /* AIO_ALLOCATE: bytes */
        /* @result: bytes done, maybe fewer than asked, or negative errno. Never runs inside aio_start(). */
        void (*done)(AioRequest *req, int64_t result);

        AioRequest *next; /* the engine's */
        int64_t result;   /* the engine's */
};

typedef struct AioOps {
        const char *name;
        void (*start)(Aio *aio, AioRequest *req);
        /* Optional: what was started goes to the host now. @done may run inside, of requests that need not wait. */
        void (*submit)(Aio *aio);
        void (*drain)(Aio *aio); /* ends all requests; those that had not begun with -ECANCELED */
        Aio *(*free)(Aio *aio);  /* drained */
} AioOps;

struct Aio {
        const AioOps *ops;
        unsigned refs;
};

typedef enum AioEngine {
        AIO_ENGINE_ANY, /* the best that this host lets us have */
        AIO_ENGINE_URING,
        AIO_ENGINE_WORKERS,
} AioEngine;

int aio_new(AioEngine engine, Loop *loop, Aio **ret);
int aio_uring_new(Loop *loop, Aio **ret);
int aio_workers_new(Loop *loop, Aio **ret);
Aio *aio_ref(Aio *aio);
Aio *aio_unref(Aio *aio);
DEFINE_CLEANUP(Aio *, aio_unref)

static inline void aio_start(Aio *aio, AioRequest *req) {
        aio->ops->start(aio, req);
}

static inline void aio_submit(Aio *aio) {
        if (aio->ops->submit)
                aio->ops->submit(aio);
}

static inline void aio_drain(Aio *aio) {
        aio->ops->drain(aio);
}

/* First in, first out. Zero-initialised is empty. */
typedef struct AioFifo {
        AioRequest *first, *last;
} AioFifo;

static inline void aio_fifo_push(AioFifo *fifo, AioRequest *req) {
        req->next = NULL;
        if (fifo->last)
                fifo->last->next = req;
        else
                fifo->first = req;
        fifo->last = req;
}

static inline AioRequest *aio_fifo_pop(AioFifo *fifo) {
        AioRequest *req = fifo->first;

        if (!req)
                return NULL;
        fifo->first = req->next;
        if (!fifo->first)
                fifo->last = NULL;
        req->next = NULL;
        return req;
}
