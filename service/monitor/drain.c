/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/drain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * What is to be kept goes from the pipe to its file by splice(): one system call takes it from the one and has it in
 * the other, so no moment exists in which a daemon that is killed has it in neither. A tail's file grows up to a bound
 * and is then cut to what is kept of it, last bytes first, so that it is right at every moment too.
 */

#define CHUNK_BYTES 8192u
/* Read at one turn of the event loop, so that a flood delays nobody by more than some 10 µs. */
#define TURN_BYTES_MAX (64u * 1024u)
/* Read by drain_now(); a pipe holds 64 KiB unless a privileged writer enlarged it to at most 1 MiB. */
#define FINAL_BYTES_MAX (1024u * 1024u)
/* A tail's file is cut when it holds so many times what is kept. */
#define TAIL_SLACK 2u

struct Drain {
        int fd;                  /* owned, non-blocking */
        int file;                /* owned */
        sd_event_source *source; /* owned */
        DrainKeep keep;
        size_t keep_bytes;
        uint64_t size;    /* of the file */
        uint64_t kept_to; /* bytes that ever were in the file, as far as it is known */
        uint64_t total;   /* bytes read in all, likewise */
        bool eof;
        DrainEofFn eof_fn;   /* optional */
        DrainDataFn data_fn; /* optional */
        void *userdata;      /* borrowed */
};

/* Leaves the last @keep_bytes of a tail. Failing, it grows a while longer. */
static void cut_tail(Drain *drain) {
        char chunk[CHUNK_BYTES];
        uint64_t from = drain->size - drain->keep_bytes;

        for (size_t done = 0; done < drain->keep_bytes;) {
                size_t n = MIN(drain->keep_bytes - done, sizeof(chunk));

                if (fd_pread_all(drain->file, chunk, n, from + done) < 0 ||
                    pwrite(drain->file, chunk, n, (off_t) done) != (ssize_t) n)
                        return;
                done += n;
        }
        if (ftruncate(drain->file, (off_t) drain->keep_bytes) == 0)
                drain->size = drain->keep_bytes;
}

/* How much of the next bytes may go into the file. */
static size_t room(const Drain *drain) {
        if (drain->keep == DRAIN_KEEP_TAIL)
                return MIN(drain->keep_bytes * TAIL_SLACK, (size_t) TURN_BYTES_MAX);
        return drain->size < drain->keep_bytes ? (size_t) (drain->keep_bytes - drain->size) : 0;
}

/* Return: bytes moved, 0 at the end, negative errno. */
static ssize_t keep_some(Drain *drain, size_t max) {
        off_t offset = (off_t) drain->size;
        ssize_t n = splice(drain->fd, NULL, drain->file, &offset, max,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

        if (n < 0)
                return -errno;
        drain->size += (uint64_t) n;
        drain->kept_to += (uint64_t) n;
        if (n > 0 && drain->data_fn)
                drain->data_fn(drain->userdata);
        if (drain->keep == DRAIN_KEEP_TAIL && drain->size > drain->keep_bytes * TAIL_SLACK)
                cut_tail(drain);
        return n;
}

static ssize_t discard_some(const Drain *drain) {
        char chunk[CHUNK_BYTES];
        ssize_t n = read(drain->fd, chunk, sizeof(chunk));

        return n < 0 ? -errno : n;
}

/* Reads until the pipe is empty, at most @max bytes. */
static void read_some(Drain *drain, size_t max) {
        for (size_t done = 0; done < max;) {
                size_t fits = MIN(room(drain), max - done);
                ssize_t n = fits > 0 ? keep_some(drain, fits) : discard_some(drain);

                /* The file system has no room, or cannot do this: what cannot be kept still must be read. */
                if (n < 0 && n != -EINTR && n != -EAGAIN)
                        n = discard_some(drain);
                if (n == -EINTR)
                        continue;
                if (n == -EAGAIN)
                        return;
                if (n <= 0) {
                        drain->eof = true;
                        return;
                }
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

static int open_file(Drain *drain, int file) {
        struct stat st;

        drain->file =
                file >= 0 ? fd_dup_cloexec(file) : memfd_create("vivarium-drain", MFD_CLOEXEC);
        if (drain->file < 0)
                return file >= 0 ? drain->file : -errno;
        if (fstat(drain->file, &st) < 0)
                return -errno;
        drain->size = (uint64_t) st.st_size;
        drain->kept_to = drain->size;
        drain->total = drain->size;
        return 0;
}

/**
 * drain_attach() - read a pipe from the event loop
 * @event:   referenced as long as the drain lives
 * @read_fd: consumed
 *
 * Return: 0 or negative errno.
 */
int drain_attach(sd_event *event, const DrainSpec *spec, int read_fd, Drain **ret) {
        _cleanup_(drain_freep) Drain *drain = NULL;
        _cleanup_(fd_closep) int fd = read_fd;
        int r;

        drain = malloc(sizeof(*drain));
        if (!drain)
                return -ENOMEM;
        *drain = (Drain){.fd = TAKE_FD(fd),
                         .file = -EBADF,
                         .keep = spec->keep,
                         .keep_bytes = spec->keep_bytes,
                         .eof_fn = spec->eof,
                         .data_fn = spec->data,
                         .userdata = spec->userdata};
        r = open_file(drain, spec->file);
        if (r < 0)
                return r;
        r = fd_set_nonblock(drain->fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &drain->source, drain->fd, EPOLLIN, on_readable, drain);
        if (r >= 0)
                r = sd_event_source_set_priority(drain->source, spec->priority);
        if (r < 0)
                return r;
        *ret = TAKE(drain);
        return 0;
}

/**
 * drain_new() - drain_attach() to a new pipe
 * @ret_write_fd: its writing end, blocking, owned by the caller
 *
 * Return: 0 or negative errno.
 */
int drain_new(sd_event *event, const DrainSpec *spec, Drain **ret, int *ret_write_fd) {
        _cleanup_(fd_closep) int write_fd = -EBADF;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        write_fd = fds[1];
        r = drain_attach(event, spec, fds[0], ret);
        if (r < 0)
                return r;
        *ret_write_fd = TAKE_FD(write_fd);
        return 0;
}

/** drain_free() - stop reading; the file stays. Return: NULL. */
Drain *drain_free(Drain *drain) {
        if (!drain)
                return NULL;
        (void) sd_event_source_disable_unref(drain->source);
        (void) fd_close(drain->fd);
        (void) fd_close(drain->file);
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

/** drain_total() - bytes read so far, kept or not; after a restart, those not kept before it are missing */
uint64_t drain_total(const Drain *drain) {
        return drain->total;
}

/** drain_fd() - the reading end, borrowed */
int drain_fd(const Drain *drain) {
        return drain->fd;
}

/** drain_kept_from() - where in all that ever was kept that begins which still is */
uint64_t drain_kept_from(const Drain *drain) {
        return drain->kept_to - drain->size;
}

/** drain_kept_to() - where it ends */
uint64_t drain_kept_to(const Drain *drain) {
        return drain->kept_to;
}

/**
 * drain_read() - some of what is kept
 * @from: counted as drain_kept_from() does
 *
 * Return: bytes read, 0 at the end; -ERANGE when they are kept no more; other negative errno.
 */
ssize_t drain_read(const Drain *drain, uint64_t from, void *buf, size_t max) {
        size_t n;
        int r;

        if (from < drain_kept_from(drain))
                return -ERANGE;
        if (from >= drain->kept_to)
                return 0;
        n = (size_t) MIN(drain->kept_to - from, (uint64_t) max);
        r = fd_pread_all(drain->file, buf, n, from - drain_kept_from(drain));
        return r < 0 ? r : (ssize_t) n;
}

/**
 * drain_copy() - what is kept, oldest byte first
 * @max: bytes; of a tail, the last ones
 * @ret: NUL-terminated besides its length, owned by the caller
 *
 * Return: 0 or negative errno.
 */
int drain_copy(const Drain *drain, size_t max, char **ret, size_t *ret_len) {
        size_t bound = MIN(max, drain->keep_bytes);
        size_t len = (size_t) MIN(drain->size, (uint64_t) bound);
        uint64_t from = drain->keep == DRAIN_KEEP_TAIL ? drain->size - len : 0;
        _cleanup_(freep) char *copy = malloc(len + 1);
        int r;

        if (!copy)
                return -ENOMEM;
        r = fd_pread_all(drain->file, copy, len, from);
        if (r < 0)
                return r;
        copy[len] = '\0';
        *ret = TAKE(copy);
        *ret_len = len;
        return 0;
}
