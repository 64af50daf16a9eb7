/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/monitor/drain.h"

/*
 *   guest ──pipe──▶ drain (file) ──▶ lines ──▶ journal
 *                        │
 *                        ├── place ──▶ socket of a viewer      a viewer is a place in what is kept, no copy of it
 *                        └── place ──▶ socket of a viewer ──keys──▶ pipe ──▶ guest
 *
 * A viewer's end is a stream socket and not a terminal, because a terminal loses what its reader has not read when its
 * other side is closed: the last words of a guest, which matter most.
 */

#define CHUNK_BYTES (8u * 1024u)
/* Sent to one viewer in one turn. */
#define TURN_CHUNKS_MAX 12u
/* Bus calls and ends of processes come before what a guest says, so that a flood of it delays none of them. */
#define OUTPUT_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

typedef struct Viewer {
        Console *console;        /* borrowed */
        int fd;                  /* owned, non-blocking */
        uint64_t next;           /* to be sent; counted as drain_kept_from() does */
        bool gave_all;           /* it sends no more keys */
        sd_event_source *source; /* owned */
        TAILQ_ENTRY(Viewer) link;
} Viewer;

struct Console {
        sd_event *event; /* borrowed; the drain has a reference */
        Drain *drain;    /* owned */
        LineLog lines;
        uint64_t lines_next;   /* to be told */
        int keys;              /* owned, non-blocking; -EBADF: the guest takes none */
        sd_event_source *room; /* owned; on while keys wait for it */
        TAILQ_HEAD(, Viewer) viewers;
        unsigned n_viewers;
};

static void viewer_free(Viewer *viewer) {
        TAILQ_REMOVE(&viewer->console->viewers, viewer, link);
        viewer->console->n_viewers--;
        (void) sd_event_source_disable_unref(viewer->source);
        (void) fd_close(viewer->fd);
        free(viewer);
}

static bool waits_for_room(const Console *console) {
        int enabled;

        return console->room && sd_event_source_get_enabled(console->room, &enabled) > 0;
}

/* What the loop shall wait for on behalf of @viewer. */
static void viewer_wait(Viewer *viewer) {
        const Console *console = viewer->console;
        uint32_t events = 0;

        if (viewer->next < drain_kept_to(console->drain))
                events |= EPOLLOUT;
        if (!viewer->gave_all && !waits_for_room(console))
                events |= EPOLLIN;
        (void) sd_event_source_set_io_events(viewer->source, events);
}

/* Return: bytes sent; negative errno. */
static ssize_t viewer_send(const Viewer *viewer, const void *data, size_t len) {
        ssize_t n = send(viewer->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        return n < 0 ? -errno : n;
}

/* The guest was faster than the viewer by more than is kept. */
static int viewer_skip(Viewer *viewer) {
        uint64_t from = drain_kept_from(viewer->console->drain);
        char text[64];
        int n = snprintf(text, sizeof(text), "\r\n[%llu bytes not shown]\r\n",
                         (unsigned long long) (from - viewer->next));
        ssize_t sent = viewer_send(viewer, text, (size_t) n);

        if (sent < 0)
                return (int) sent;
        viewer->next = from;
        return 0;
}

static int viewer_send_some(Viewer *viewer) {
        char chunk[CHUNK_BYTES];
        ssize_t n = drain_read(viewer->console->drain, viewer->next, chunk, sizeof(chunk));

        if (n == -ERANGE)
                return viewer_skip(viewer);
        if (n > 0)
                n = viewer_send(viewer, chunk, (size_t) n);
        if (n < 0)
                return (int) n;
        viewer->next += (uint64_t) n;
        return 0;
}

/* Sends what the viewer has room for. One that is gone is freed. */
static void viewer_pump(Viewer *viewer) {
        int r = 0;

        for (unsigned i = 0;
             i < TURN_CHUNKS_MAX && r == 0 && viewer->next < drain_kept_to(viewer->console->drain);
             i++)
                r = viewer_send_some(viewer);
        if (r < 0 && r != -EAGAIN && r != -EINTR) {
                viewer_free(viewer);
                return;
        }
        viewer_wait(viewer);
}

static void pump_all(Console *console) {
        Viewer *viewer = TAILQ_FIRST(&console->viewers);

        while (viewer) {
                Viewer *next = TAILQ_NEXT(viewer, link);

                viewer_pump(viewer);
                viewer = next;
        }
}

static void tell_lines(Console *console) {
        char chunk[CHUNK_BYTES];
        usec_t now = clock_monotonic_usec();
        ssize_t n;

        while ((n = drain_read(console->drain, console->lines_next, chunk, sizeof(chunk))) > 0) {
                line_log_feed(&console->lines, chunk, (size_t) n, now);
                console->lines_next += (uint64_t) n;
        }
}

static void on_kept(void *userdata) {
        Console *console = userdata;

        tell_lines(console);
        pump_all(console);
}

/* A pipe with room takes that many bytes at once, and nobody else writes to it. */
static bool has_room(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        return poll(&p, 1, 0) > 0 && (p.revents & POLLOUT);
}

static void wait_all(Console *console) {
        Viewer *viewer;

        TAILQ_FOREACH(viewer, &console->viewers, link)
        viewer_wait(viewer);
}

static void drop_keys(Console *console) {
        console->room = sd_event_source_disable_unref(console->room);
        console->keys = fd_close(console->keys);
}

static int on_room(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (revents & EPOLLERR)
                drop_keys(console); /* the VMM reads no keys any more */
        wait_all(console);
        return 0;
}

/* Keys for a guest that takes none are read and lost, as those of a keyboard that nobody reads. */
static void take_keys(Viewer *viewer) {
        Console *console = viewer->console;
        char keys[PIPE_BUF];
        ssize_t n;

        if (console->keys >= 0 && !has_room(console->keys) && console->room) {
                (void) sd_event_source_set_enabled(console->room, SD_EVENT_ON);
                wait_all(console);
                return;
        }
        n = recv(viewer->fd, keys, sizeof(keys), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                viewer->gave_all = true;
                viewer_wait(viewer);
                return;
        }
        if (console->keys >= 0 && write(console->keys, keys, (size_t) n) < 0 && errno == EPIPE)
                drop_keys(console);
}

static int on_viewer(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Viewer *viewer = userdata;

        if (revents & EPOLLIN)
                take_keys(viewer);
        else if (revents & (EPOLLHUP | EPOLLERR)) {
                viewer_free(viewer);
                return 0;
        }
        if (revents & EPOLLOUT)
                viewer_pump(viewer); /* may free it */
        return 0;
}

/* A new daemon does not tell again what the old one did: the lines that were finished. */
static void find_unfinished_line(Console *console) {
        char chunk[LINE_LOG_BYTES_MAX];
        uint64_t from = drain_kept_from(console->drain), to = drain_kept_to(console->drain);
        ssize_t n;

        console->lines_next = to;
        if (to - from > sizeof(chunk))
                from = to - sizeof(chunk);
        n = drain_read(console->drain, from, chunk, sizeof(chunk));
        for (ssize_t i = n; i > 0; i--)
                if (chunk[i - 1] == '\n' || chunk[i - 1] == '\r') {
                        console->lines_next = from + (uint64_t) i;
                        return;
                }
        if (n > 0 && from == 0)
                console->lines_next = 0;
}

/**
 * console_attach() - go on with a stream whose pipe exists
 * @event:   outlives the console
 * @read_fd: consumed
 *
 * Return: 0 or negative errno.
 */
int console_attach(sd_event *event, const ConsoleSpec *spec, int read_fd, Console **ret) {
        _cleanup_(console_freep) Console *console = malloc(sizeof(*console));
        DrainSpec drain;
        int r;

        if (!console) {
                (void) fd_close(read_fd);
                return -ENOMEM;
        }
        *console = (Console){.event = event, .keys = -EBADF};
        TAILQ_INIT(&console->viewers);
        line_log_init(&console->lines, spec->shared, spec->line, spec->userdata);
        drain = (DrainSpec){.keep = DRAIN_KEEP_TAIL,
                            .keep_bytes = CONSOLE_KEPT_BYTES,
                            .file = spec->file,
                            .data = on_kept,
                            .userdata = console,
                            .priority = OUTPUT_PRIORITY};
        r = drain_attach(event, &drain, read_fd, &console->drain);
        if (r < 0)
                return r;
        find_unfinished_line(console);
        *ret = TAKE(console);
        return 0;
}

/**
 * console_new() - console_attach() to a new pipe
 * @ret_write_fd: its writing end, blocking, owned by the caller
 *
 * Return: 0 or negative errno.
 */
int console_new(sd_event *event, const ConsoleSpec *spec, Console **ret, int *ret_write_fd) {
        _cleanup_(fd_closep) int write_fd = -EBADF;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        write_fd = fds[1];
        r = console_attach(event, spec, fds[0], ret);
        if (r < 0)
                return r;
        *ret_write_fd = TAKE_FD(write_fd);
        return 0;
}

/** console_free() - hang up on all viewers; what is kept stays in its file. Return: NULL. */
Console *console_free(Console *console) {
        if (!console)
                return NULL;
        while (!TAILQ_EMPTY(&console->viewers))
                viewer_free(TAILQ_FIRST(&console->viewers));
        drop_keys(console);
        (void) drain_free(console->drain);
        free(console);
        return NULL;
}

/**
 * console_attach_keys() - have keys go to the guest
 * @write_fd: of the pipe that it reads; consumed
 *
 * Return: 0 or negative errno.
 */
int console_attach_keys(Console *console, int write_fd) {
        int r;

        console->keys = write_fd;
        r = fd_set_nonblock(write_fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(console->event, &console->room, write_fd, EPOLLOUT, on_room, console);
        if (r >= 0)
                r = sd_event_source_set_enabled(console->room, SD_EVENT_OFF);
        return r < 0 ? r : 0;
}

/**
 * console_make_keys() - console_attach_keys() of a new pipe
 * @ret_read_fd: its reading end, blocking, owned by the caller
 *
 * Return: 0 or negative errno.
 */
int console_make_keys(Console *console, int *ret_read_fd) {
        _cleanup_(fd_closep) int read_fd = -EBADF;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        read_fd = fds[0];
        r = console_attach_keys(console, fds[1]);
        if (r < 0)
                return r;
        *ret_read_fd = TAKE_FD(read_fd);
        return 0;
}

static int add_viewer(Console *console, int fd) {
        Viewer *viewer = calloc(1, sizeof(*viewer));
        int r;

        if (!viewer) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        *viewer = (Viewer){.console = console, .fd = fd, .next = drain_kept_from(console->drain)};
        TAILQ_INSERT_TAIL(&console->viewers, viewer, link);
        console->n_viewers++;
        r = sd_event_add_io(console->event, &viewer->source, fd, 0, on_viewer, viewer);
        if (r >= 0)
                r = sd_event_source_set_priority(viewer->source, OUTPUT_PRIORITY);
        if (r < 0) {
                viewer_free(viewer);
                return r;
        }
        /* Keys for a stream that never has any fail where they are written. */
        if (console->keys < 0) {
                (void) shutdown(fd, SHUT_RD);
                viewer->gave_all = true;
        }
        viewer_pump(viewer);
        return 0;
}

/**
 * console_view() - one more viewer
 * @ret_fd: its socket, owned by the caller; what is kept is in it already, all that follows comes, then its end
 *
 * Return: 0; -EUSERS when there are CONSOLE_VIEWERS_MAX; other negative errno.
 */
int console_view(Console *console, int *ret_fd) {
        _cleanup_(fd_closep) int theirs = -EBADF;
        int fds[2], r;

        if (console->n_viewers >= CONSOLE_VIEWERS_MAX)
                return -EUSERS;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        theirs = fds[1];
        r = add_viewer(console, fds[0]);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(theirs);
        return 0;
}

/** console_read_rest() - read what is in the pipe at this moment, up to a bound; see drain_now() */
void console_read_rest(Console *console) {
        (void) drain_now(console->drain);
}

/** console_finish() - the guest is gone: tell and show what it wrote last, as far as viewers have room */
void console_finish(Console *console) {
        console_read_rest(console);
        line_log_end(&console->lines, clock_monotonic_usec());
        pump_all(console);
        while (!TAILQ_EMPTY(&console->viewers))
                viewer_free(TAILQ_FIRST(&console->viewers));
}

/** console_copy_tail() - as drain_copy() */
int console_copy_tail(const Console *console, size_t max, char **ret, size_t *ret_len) {
        return drain_copy(console->drain, max, ret, ret_len);
}

/** console_fd() - the reading end of the pipe, borrowed */
int console_fd(const Console *console) {
        return drain_fd(console->drain);
}

/** console_keys_fd() - the writing end of the pipe for keys, borrowed; -EBADF without one */
int console_keys_fd(const Console *console) {
        return console->keys;
}
