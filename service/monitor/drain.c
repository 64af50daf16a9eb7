/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/drain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define CHUNK_BYTES 8192u
/* Read at one turn of the event loop, so that a flood delays nobody by more than some 10 µs. */
#define TURN_BYTES_MAX (64u * 1024u)
/* Read by drain_now(); a pipe holds 64 KiB unless a privileged writer enlarged it to at most 1 MiB. */
#define FINAL_BYTES_MAX (1024u * 1024u)

struct Drain {
        int fd;                  /* owned, non-blocking */
        sd_event_source *source; /* owned */
        DrainKeep keep;
        size_t keep_bytes;
        char *data; /* owned; a head grows up to keep_bytes, a tail has them from the start and is a ring */
        size_t len;  /* bytes in @data */
        size_t head; /* where the next byte of a full ring goes */
        size_t room;
        uint64_t total; /* bytes read in all */
        bool eof;
        DrainEofFn eof_fn; /* optional */
        void *userdata;    /* borrowed */
};

/* Makes room for @want bytes as far as the limit goes. Without memory what fits already is what is kept. */
static void reserve(Drain *drain, size_t want) {
        size_t room = MIN(MAX(want, drain->room * 2), drain->keep_bytes);
        char *grown;

        if (room <= drain->room)
                return;
        grown = realloc(drain->data, room);
        if (!grown)
                return;
        drain->data = grown;
        drain->room = room;
}

static void keep_tail(Drain *drain, const char *p, size_t n) {
        while (n > 0) {
                size_t part = MIN(n, drain->room - drain->head);

                memcpy(drain->data + drain->head, p, part);
                drain->head = (drain->head + part) % drain->room;
                p += part;
                n -= part;
        }
}

static void keep(Drain *drain, const char *p, size_t n) {
        size_t fits;

        reserve(drain, drain->len + n);
        fits = MIN(n, drain->room - drain->len);
        if (fits > 0)
                memcpy(drain->data + drain->len, p, fits);
        drain->len += fits;
        if (drain->keep == DRAIN_KEEP_TAIL)
                keep_tail(drain, p + fits, n - fits);
}

/* Reads until the pipe is empty, at most @max bytes. */
static void read_some(Drain *drain, size_t max) {
        char chunk[CHUNK_BYTES];
        size_t done = 0;

        while (done < max) {
                ssize_t n = read(drain->fd, chunk, sizeof(chunk));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        drain->eof = true;
                        return;
                }
                keep(drain, chunk, (size_t) n);
                drain->total += (uint64_t) n;
                done += (size_t) n;
        }
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Drain *drain = userdata;

        read_some(drain, TURN_BYTES_MAX);
        if (!drain->eof)
                return 0;
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (drain->eof_fn)
                drain->eof_fn(drain->userdata); /* may free @drain */
        return 0;
}

/**
 * drain_new() - make a pipe and read it from the event loop
 * @event:        referenced as long as the drain lives
 * @keep_bytes:   bound of what is kept, more than 0
 * @eof:          optional
 * @ret_write_fd: the writing end, blocking, owned by the caller
 *
 * Return: 0 or negative errno.
 */
int drain_new(sd_event *event, DrainKeep keep_what, size_t keep_bytes, DrainEofFn eof,
              void *userdata, Drain **ret, int *ret_write_fd) {
        _cleanup_(drain_freep) Drain *drain = NULL;
        _cleanup_(fd_closep) int write_fd = -EBADF;
        int fds[2], r;

        drain = malloc(sizeof(*drain));
        if (!drain)
                return -ENOMEM;
        *drain = (Drain){.fd = -EBADF,
                         .keep = keep_what,
                         .keep_bytes = keep_bytes,
                         .eof_fn = eof,
                         .userdata = userdata};
        if (keep_what == DRAIN_KEEP_TAIL) {
                drain->data = malloc(keep_bytes); /* costs nothing before it is written to */
                if (!drain->data)
                        return -ENOMEM;
                drain->room = keep_bytes;
        }
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        drain->fd = fds[0];
        write_fd = fds[1];
        r = fd_set_nonblock(drain->fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &drain->source, drain->fd, EPOLLIN, on_readable, drain);
        if (r < 0)
                return r;
        *ret = TAKE(drain);
        *ret_write_fd = TAKE_FD(write_fd);
        return 0;
}

/** drain_free() - stop reading. Return: NULL. */
Drain *drain_free(Drain *drain) {
        if (!drain)
                return NULL;
        (void) sd_event_source_disable_unref(drain->source);
        (void) fd_close(drain->fd);
        free(drain->data);
        free(drain);
        return NULL;
}

/**
 * drain_now() - read what is in the pipe at this moment, up to a bound
 *
 * For the moment after the writer's end, before the event loop gets to it. Return: whether the last writer is gone.
 */
bool drain_now(Drain *drain) {
        if (!drain->eof)
                read_some(drain, FINAL_BYTES_MAX);
        return drain->eof;
}

/** drain_total() - bytes read so far, kept or not */
uint64_t drain_total(const Drain *drain) {
        return drain->total;
}

/**
 * drain_copy() - what is kept, oldest byte first
 * @ret: NUL-terminated besides its length, owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int drain_copy(const Drain *drain, char **ret, size_t *ret_len) {
        char *copy = malloc(drain->len + 1);
        size_t first = drain->len - drain->head; /* bytes from the ring's oldest one to its end */

        if (!copy)
                return -ENOMEM;
        if (drain->len > 0) {
                memcpy(copy, drain->data + drain->head, first);
                memcpy(copy + first, drain->data, drain->head);
        }
        copy[drain->len] = '\0';
        *ret = copy;
        *ret_len = drain->len;
        return 0;
}
