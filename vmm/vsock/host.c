/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "base/unix_bind.h"
#include "vmm/vsock/muxer_internal.h"

/* The Unix sockets in the directory: the one that host clients come to, and those that the guest's connections go to. */

#define LISTEN_NAME "vsock"
#define LISTEN_BACKLOG 4096
#define ACCEPT_MAX 64u /* clients taken in one turn of the loop */

#define COMMAND "CONNECT "
#define COMMAND_MAX 32u /* bytes of a client's line, the end included */

/* By way of the descriptor: the directory may have moved, and its path may be longer than an address holds. */
static int address_of(const VsockMuxer *muxer, const char *name, struct sockaddr_un *ret) {
        int n;

        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", muxer->dir_fd,
                     name);
        return n > 0 && (size_t) n < sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

static int connect_name(const VsockMuxer *muxer, const char *name) {
        _cleanup_(fd_closep) int fd = -EBADF;
        struct sockaddr_un address;
        int r;

        r = address_of(muxer, name, &address);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/**
 * vsock_host_connect() - the socket that stands for @port of the host
 *
 * Never waits: a service whose backlog is full has refused. Return: a non-blocking descriptor, owned by the caller;
 * negative errno.
 */
int vsock_host_connect(VsockMuxer *muxer, uint32_t port) {
        char name[sizeof(LISTEN_NAME "_4294967295")];

        (void) snprintf(name, sizeof(name), LISTEN_NAME "_%u", port);
        return connect_name(muxer, name);
}

/* ---- clients of the host ---- */

/* Return: a port that no connection to @guest_port uses; there are more ports than connections. */
static uint32_t take_host_port(VsockMuxer *muxer, uint32_t guest_port) {
        uint32_t port;

        do {
                port = muxer->next_host_port++;
                if (muxer->next_host_port == UINT32_MAX)
                        muxer->next_host_port = VSOCK_HOST_PORT_FIRST;
        } while (vsock_conn_table_find(&muxer->table, guest_port, port));
        return port;
}

/* Return: 0; -EINVAL when @line, without its end, is not "CONNECT PORT". */
static int parse_command(const char *line, uint32_t *ret_port) {
        const char *port = str_after_prefix(line, COMMAND);

        return port ? parse_u32(port, ret_port) : -EINVAL;
}

/**
 * vsock_host_read_command() - look at what a client has sent, and ask the guest once its line is complete
 *
 * No byte behind the line is taken. A client that says something else, or too much, is gone afterwards.
 */
void vsock_host_read_command(VsockConn *conn) {
        VsockMuxer *muxer = conn->muxer;
        char line[COMMAND_MAX + 1];
        uint32_t port;
        ssize_t n;
        char *end;

        n = recv(conn->fd, line, COMMAND_MAX, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                (void) vsock_conn_free(conn);
                return;
        }
        end = memchr(line, '\n', (size_t) n);
        if (!end && (size_t) n < COMMAND_MAX)
                return;
        if (!end ||
            recv(conn->fd, line, (size_t) (end - line) + 1, MSG_DONTWAIT) != end - line + 1) {
                (void) vsock_conn_free(conn);
                return;
        }
        *end = '\0';
        if (parse_command(line, &port) < 0) {
                (void) vsock_conn_free(conn);
                return;
        }
        conn->guest_port = port;
        conn->host_port = take_host_port(muxer, port);
        conn->state = VSOCK_CONN_REQUESTED;
        vsock_conn_table_add(&muxer->table, conn);
        vsock_patience_start(conn);
        vsock_conn_set_due(conn, VSOCK_OP_REQUEST);
}

/* Return: whether there may be another client. */
static bool accept_one(VsockMuxer *muxer) {
        int fd = accept4(muxer->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        VsockConn *conn;

        if (fd < 0) {
                /* The client stays in the backlog; we would be told of it for ever. */
                if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                        muxer->deaf = true;
                        (void) loop_set_events(muxer->listening, 0);
                }
                return errno == ECONNABORTED || errno == EINTR;
        }
        conn = vsock_conn_new_consume(muxer, fd, VSOCK_CONN_COMMAND);
        if (conn)
                vsock_patience_start(conn);
        return true;
}

static void clients_come(void *userdata, int fd, uint32_t events) {
        VsockMuxer *muxer = userdata;

        muxer->ops->enter(muxer->device);
        for (unsigned i = 0; i < ACCEPT_MAX && accept_one(muxer); i++)
                ;
        muxer->ops->leave(muxer->device);
}

/** vsock_host_hear_again() - a descriptor was closed: clients that could not be taken may be now */
void vsock_host_hear_again(VsockMuxer *muxer) {
        if (!muxer->deaf)
                return;
        muxer->deaf = false;
        (void) loop_set_events(muxer->listening, EPOLLIN);
}

static int bind_listener(VsockMuxer *muxer) {
        struct sockaddr_un address;
        int r;

        r = address_of(muxer, LISTEN_NAME, &address);
        if (r < 0)
                return r;
        return unix_bind(muxer->listen_fd, &address);
}

/** vsock_host_listen() - make DIR/vsock and wait for clients. Return: 0; negative errno with a sentence. */
int vsock_host_listen(VsockMuxer *muxer, TextError *reterr) {
        int r;

        muxer->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (muxer->listen_fd < 0)
                return -errno;
        r = bind_listener(muxer);
        if (r < 0) {
                muxer->listen_fd = fd_close(muxer->listen_fd);
                return text_error_set(reterr, r, "cannot make the socket '" LISTEN_NAME "': %s",
                                      strerror(-r));
        }
        if (listen(muxer->listen_fd, LISTEN_BACKLOG) < 0)
                return -errno;
        return loop_add_fd(muxer->loop, muxer->listen_fd, EPOLLIN, clients_come, muxer,
                           &muxer->listening);
}

/** vsock_host_stop() - undo vsock_host_listen(), also after it failed */
void vsock_host_stop(VsockMuxer *muxer) {
        muxer->listening = loop_remove(muxer->listening);
        if (muxer->listen_fd < 0)
                return;
        (void) unlinkat(muxer->dir_fd, LISTEN_NAME, 0);
        muxer->listen_fd = fd_close(muxer->listen_fd);
}
