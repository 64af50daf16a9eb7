/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/ratelimit.h"
#include "base/str.h"
#include "service/monitor/unix_name.h"
#include "service/monitor/vsock_host.h"

/*
 * What comes here comes from the guest, by way of a VMM that may have been taken over by it. A connection holds at most
 * one batch and lasts a few seconds; a VM has few of them at once and few in any stretch of time. Those beyond that
 * wait in the backlog, which is short too, and then it is the VMM's connect() that fails.
 */

#define BACKLOG 16
#define CONNECTIONS_MAX 8u
#define CONNECTION_USEC (10 * USEC_PER_SEC)
#define ACCURACY_USEC (250 * USEC_PER_MSEC)
/* A payload has four things to say; a guest's systemd tells its status some dozens of times. */
#define BURST 200u
#define INTERVAL_USEC (10 * USEC_PER_SEC)

typedef struct Connection {
        Notify *notify; /* borrowed */
        int fd;         /* owned */
        sd_event_source *readable, *deadline;
        size_t len;
        char data[NOTIFY_BYTES_MAX + 1]; /* one byte more, by which too long a batch shows */
        TAILQ_ENTRY(Connection) link;
} Connection;

struct Notify {
        sd_event *event; /* borrowed; outlives it */
        int fd;          /* owned; listens */
        sd_event_source *listening, *pause;
        NotifyFn fn;
        void *userdata; /* borrowed */
        RateLimit limit;
        unsigned n_connections;
        bool paused;
        uint32_t cid; /* of the only guest that is heard; 0: who reaches the socket */
        TAILQ_HEAD(, Connection) connections;
};

/* Listens while there is room for one more, and while the guest has not come too often. */
static void update_listening(Notify *notify) {
        bool on = !notify->paused && notify->n_connections < CONNECTIONS_MAX;

        (void) sd_event_source_set_enabled(notify->listening, on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void connection_free(Connection *connection) {
        Notify *notify = connection->notify;

        TAILQ_REMOVE(&notify->connections, connection, link);
        notify->n_connections--;
        (void) sd_event_source_disable_unref(connection->readable);
        (void) sd_event_source_disable_unref(connection->deadline);
        (void) fd_close(connection->fd);
        free(connection);
        update_listening(notify);
}

/* Whoever does not read it does not want to know. */
static void refuse(const Connection *connection, const char *why) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "X_VIVARIUM_REFUSED=%s\n", why);
        if (!buf.failed)
                (void) send(connection->fd, buf.data, buf.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take_batch(Connection *connection) {
        _cleanup_(text_error_deinit) TextError error = {0};
        const char *why = NULL;
        NotifyMessage message;
        int r;

        r = notify_message_parse(connection->data, connection->len, &message, &error);
        if (r < 0)
                why = text_error_message(&error, r);
        else if (connection->len > 0)
                why = connection->notify->fn(connection->notify->userdata, &message);
        if (why)
                refuse(connection, why);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Connection *connection = userdata;
        size_t room = sizeof(connection->data) - connection->len;
        ssize_t n = recv(fd, connection->data + connection->len, room, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n > 0)
                connection->len += (size_t) n;
        if (n > 0 && (size_t) n < room)
                return 0;
        if (n >= 0) /* the end, or one byte too many */
                take_batch(connection);
        connection_free(connection);
        return 0;
}

/* Half a batch is none. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        connection_free(userdata);
        return 0;
}

static int on_pause_ended(sd_event_source *source, uint64_t usec, void *userdata) {
        Notify *notify = userdata;

        notify->pause = sd_event_source_disable_unref(notify->pause);
        notify->paused = false;
        update_listening(notify);
        return 0;
}

/* Without memory for the timer there is no pause, and what comes is turned away one by one. */
static void pause_listening(Notify *notify) {
        if (notify->pause ||
            sd_event_add_time_relative(notify->event, &notify->pause, CLOCK_MONOTONIC,
                                       INTERVAL_USEC, ACCURACY_USEC, on_pause_ended, notify) < 0)
                return;
        notify->paused = true;
        update_listening(notify);
}

static int add_connection(Notify *notify, int fd) {
        Connection *connection = calloc(1, sizeof(*connection));
        int r;

        if (!connection) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        connection->notify = notify;
        connection->fd = fd;
        TAILQ_INSERT_TAIL(&notify->connections, connection, link);
        notify->n_connections++;
        r = sd_event_add_io(notify->event, &connection->readable, fd, EPOLLIN, on_readable,
                            connection);
        if (r >= 0)
                r = sd_event_add_time_relative(notify->event, &connection->deadline,
                                               CLOCK_MONOTONIC, CONNECTION_USEC, ACCURACY_USEC,
                                               on_deadline, connection);
        if (r < 0)
                connection_free(connection);
        update_listening(notify);
        return r < 0 ? r : 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Notify *notify = userdata;
        int own;

        if (!ratelimit_allow(&notify->limit, clock_monotonic_usec())) {
                pause_listening(notify);
                if (notify->paused)
                        return 0;
        }
        own = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (own >= 0 && (notify->limit.dropped > 0 ||
                         (notify->cid != 0 && !vsock_host_is_from(own, notify->cid))))
                (void) fd_close(own);
        else if (own >= 0)
                (void) add_connection(notify, own);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                pause_listening(notify); /* or we would be told of it without end */
        return 0;
}

/** notify_listen() - a new socket @name in @dir_fd, in the place of an old one. Return: owned descriptor; negative errno. */
int notify_listen(int dir_fd, const char *name) {
        return unix_name_listen(dir_fd, name, SOCK_STREAM, BACKLOG);
}

/** notify_listen_vsock() - the same at @port of the host's AF_VSOCK, for notify_require_cid() */
int notify_listen_vsock(uint32_t port) {
        return vsock_host_listen(port, BACKLOG);
}

/** notify_require_cid() - the socket is one of AF_VSOCK, which anybody can reach: hear the guest with @cid alone */
void notify_require_cid(Notify *notify, uint32_t cid) {
        notify->cid = cid;
}

/**
 * notify_new() - take batches from connections to @listen_fd
 * @event:     borrowed, outlives it
 * @listen_fd: consumed
 *
 * Return: 0 or negative errno.
 */
int notify_new(sd_event *event, int listen_fd, NotifyFn fn, void *userdata, Notify **ret) {
        _cleanup_(notify_freep) Notify *notify = calloc(1, sizeof(*notify));
        int r;

        if (!notify) {
                (void) fd_close(listen_fd);
                return -ENOMEM;
        }
        notify->event = event;
        notify->fd = listen_fd;
        notify->fn = fn;
        notify->userdata = userdata;
        notify->limit = (RateLimit){.interval_usec = INTERVAL_USEC, .burst = BURST};
        TAILQ_INIT(&notify->connections);
        r = sd_event_add_io(event, &notify->listening, listen_fd, EPOLLIN, on_connection, notify);
        if (r < 0)
                return r;
        *ret = TAKE(notify);
        return 0;
}

/** notify_free() - listen no more; batches that are not complete are lost. Return: NULL. */
Notify *notify_free(Notify *notify) {
        Connection *connection;

        if (!notify)
                return NULL;
        while ((connection = TAILQ_FIRST(&notify->connections)))
                connection_free(connection);
        (void) sd_event_source_disable_unref(notify->listening);
        (void) sd_event_source_disable_unref(notify->pause);
        (void) fd_close(notify->fd);
        free(notify);
        return NULL;
}

/** notify_fd() - the listening socket, borrowed */
int notify_fd(const Notify *notify) {
        return notify->fd;
}
