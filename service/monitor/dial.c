/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/str.h"

#define ACCURACY_USEC (50 * USEC_PER_MSEC)
#define ANSWER_MAX 32u /* bytes of the line, its end included */

struct Dial {
        int fd; /* owned, non-blocking until it is handed over */
        sd_event_source *io, *deadline;
        char line[ANSWER_MAX];
        size_t len;
        DialDoneFn done;
        void *userdata; /* borrowed */
};

static void finish(Dial *dial, int r) {
        if (r == 0)
                r = fd_set_nonblock(dial->fd, false);
        dial->done(dial->userdata, r, r == 0 ? dial->fd : -EBADF);
        (void) dial_free(dial);
}

static int check_line(const Dial *dial) {
        const char *port = str_after_prefix(dial->line, "OK ");
        uint32_t number;

        return port && parse_u32(port, &number) == 0 ? 0 : -EBADMSG;
}

/* A byte at a time: what is behind the line is the client's. */
static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Dial *dial = userdata;

        while (dial->len < sizeof(dial->line)) {
                char *byte = dial->line + dial->len;
                ssize_t n = recv(fd, byte, 1, MSG_DONTWAIT);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0) {
                        finish(dial, -ECONNREFUSED);
                        return 0;
                }
                if (*byte == '\n') {
                        *byte = '\0';
                        finish(dial, check_line(dial));
                        return 0;
                }
                dial->len++;
        }
        finish(dial, -EBADMSG);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        finish(userdata, -ETIMEDOUT);
        return 0;
}

static int send_command(int fd, uint32_t port) {
        char line[sizeof("CONNECT 4294967295\n")];
        int n = snprintf(line, sizeof(line), "CONNECT %u\n", port);

        return send(fd, line, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) == n ? 0 : -EIO;
}

/* The connection is there, or it is known why not. */
static int on_writable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        socklen_t len = sizeof(int);
        int error = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                error = errno;
        if (error == ECONNRESET || error == ENODEV)
                error = ECONNREFUSED; /* nobody listens there, or the guest has no driver yet */
        finish(userdata, -error);
        return 0;
}

static int watch(Dial *dial, sd_event *event, uint32_t events, sd_event_io_handler_t handler,
                 usec_t timeout_usec) {
        int r = sd_event_add_io(event, &dial->io, dial->fd, events, handler, dial);

        if (r >= 0)
                r = sd_event_add_time_relative(event, &dial->deadline, CLOCK_MONOTONIC,
                                               timeout_usec, ACCURACY_USEC, on_deadline, dial);
        return r < 0 ? r : 0;
}

static int new_consume(int fd, DialDoneFn done, void *userdata, Dial **ret) {
        Dial *dial = calloc(1, sizeof(*dial));

        if (!dial) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        *dial = (Dial){.fd = fd, .done = done, .userdata = userdata};
        *ret = dial;
        return 0;
}

/**
 * dial_new() - ask for a connection to @port
 * @fd:   connection to the VMM's socket, non-blocking; consumed
 * @done: called later and once, unless the dial is freed before
 *
 * Return: 0 or negative errno.
 */
int dial_new(sd_event *event, int fd, uint32_t port, usec_t timeout_usec, DialDoneFn done,
             void *userdata, Dial **ret) {
        _cleanup_(dial_freep) Dial *dial = NULL;
        int r;

        r = new_consume(fd, done, userdata, &dial);
        if (r >= 0)
                r = send_command(fd, port);
        if (r >= 0)
                r = watch(dial, event, EPOLLIN, on_readable, timeout_usec);
        if (r < 0)
                return r;
        *ret = TAKE(dial);
        return 0;
}

/** dial_new_connecting() - wait for a socket that the kernel connects to the port; otherwise as dial_new() */
int dial_new_connecting(sd_event *event, int fd, usec_t timeout_usec, DialDoneFn done,
                        void *userdata, Dial **ret) {
        _cleanup_(dial_freep) Dial *dial = NULL;
        int r;

        r = new_consume(fd, done, userdata, &dial);
        if (r >= 0)
                r = watch(dial, event, EPOLLOUT, on_writable, timeout_usec);
        if (r < 0)
                return r;
        *ret = TAKE(dial);
        return 0;
}

/** dial_free() - hang up. Return: NULL. */
Dial *dial_free(Dial *dial) {
        if (!dial)
                return NULL;
        (void) sd_event_source_disable_unref(dial->io);
        (void) sd_event_source_disable_unref(dial->deadline);
        (void) fd_close(dial->fd);
        free(dial);
        return NULL;
}
