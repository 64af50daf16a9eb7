/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/pageout.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * Where pages go is the host's affair: those of a file to the file, others to its swap, and while there is none they stay.
 * A piece at a time, so that nobody waits long for a request that cannot be cancelled.
 */

#define PIECE_BYTES (UINT64_C(16) << 20)

struct Pageout {
        PageoutConfig config;
        LoopSource *timer; /* owned */
        AioRequest aio;
        struct iovec piece;
        uint64_t next; /* offset of the piece behind that */
        bool running;  /* a request is out */
        bool told;     /* that the host refused */
};

/* Asks for the next piece, if there is one. */
static void go_on(Pageout *pageout) {
        const uint64_t left = pageout->config.size_bytes - pageout->next;

        pageout->running = left > 0;
        if (left == 0)
                return;
        pageout->piece = (struct iovec){
                .iov_base = pageout->config.host + pageout->next,
                .iov_len = (size_t) MIN(left, PIECE_BYTES),
        };
        pageout->next += pageout->piece.iov_len;
        aio_start(pageout->config.aio, &pageout->aio);
        aio_submit(pageout->config.aio);
}

static void piece_done(AioRequest *aio, int64_t result) {
        Pageout *pageout = CONTAINER_OF(aio, Pageout, aio);

        if (result >= 0) {
                go_on(pageout);
                return;
        }
        pageout->running = false; /* until the next time, unless all ends */
        if (result == -ECANCELED || pageout->told)
                return;
        pageout->told = true;
        log_warning("the host does not take back the guest's memory: %s", strerror((int) -result));
}

static void due(void *userdata) {
        Pageout *pageout = userdata;

        (void) loop_set_timer(pageout->timer,
                              clock_monotonic_nsec() + pageout->config.interval_nsec);
        if (pageout->running) /* longer than the interval */
                return;
        pageout->next = 0;
        go_on(pageout);
}

/** pageout_new() - take it back from the next interval on. Return: 0 or negative errno. */
int pageout_new(const PageoutConfig *config, Pageout **ret) {
        Pageout *pageout = calloc(1, sizeof(*pageout));
        int r;

        assert(config->interval_nsec > 0);
        if (!pageout)
                return -ENOMEM;
        *pageout = (Pageout){.config = *config};
        pageout->aio = (AioRequest){
                .kind = AIO_PAGEOUT,
                .fd = -EBADF,
                .iov = &pageout->piece,
                .n_iov = 1,
                .done = piece_done,
        };
        r = loop_add_timer(config->loop, due, pageout, &pageout->timer);
        if (r >= 0)
                r = loop_set_timer(pageout->timer, clock_monotonic_nsec() + config->interval_nsec);
        if (r < 0) {
                (void) pageout_free(pageout);
                return r;
        }
        *ret = pageout;
        return 0;
}

/** pageout_free() - end it, once the engine is drained. NULL is fine. Return: NULL. */
Pageout *pageout_free(Pageout *pageout) {
        if (!pageout)
                return NULL;
        assert(!pageout->running);
        (void) loop_remove(pageout->timer);
        free(pageout);
        return NULL;
}
