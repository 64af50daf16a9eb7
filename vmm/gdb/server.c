/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "base/log.h"
#include "base/str.h"
#include "base/unix_bind.h"
#include "vmm/gdb/rsp.h"

/* gdb waits for one answer before it asks on, so that more than a few unread ones mean that it reads no more. */
#define OUTPUT_BYTES_MAX (4u * RSP_PACKET_BYTES_MAX)
/* How long the last word may take. */
#define LAST_WORD_MSEC 200

struct GdbServer {
        Loop *loop; /* borrowed */
        const GdbTargetOps *ops;
        void *target;           /* borrowed */
        int dir_fd;             /* owned; where the Unix socket is, or -EBADF */
        char *name;             /* owned; of the Unix socket in @dir_fd; NULL: a TCP port */
        int listen_fd;          /* owned */
        LoopSource *listen;     /* owned */
        int fd;                 /* owned; of the debugger, or -EBADF */
        LoopSource *connection; /* owned */
        GdbStub *stub;          /* owned; NULL without a debugger */
        char output[OUTPUT_BYTES_MAX];
        size_t n_output;
        bool broken; /* the debugger is to be given up */
};

static void close_connection(GdbServer *server) {
        server->stub = gdb_stub_free(server->stub);
        server->connection = loop_remove(server->connection);
        server->fd = fd_close(server->fd);
        server->n_output = 0;
        server->broken = false;
}

static void flush_output(GdbServer *server) {
        while (server->n_output > 0 && !server->broken) {
                ssize_t n = send(server->fd, server->output, server->n_output,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        server->broken = errno != EAGAIN;
                        break;
                }
                server->n_output -= (size_t) n;
                memmove(server->output, server->output + n, server->n_output);
        }
        if (server->connection)
                (void) loop_set_events(server->connection,
                                       server->n_output > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_bytes(void *userdata, const char *data, size_t len) {
        GdbServer *server = userdata;

        if (len > sizeof(server->output) - server->n_output) {
                server->broken = true;
                return;
        }
        memcpy(server->output + server->n_output, data, len);
        server->n_output += len;
        flush_output(server);
}

static void give_up(GdbServer *server) {
        log_info("the debugger left");
        gdb_stub_disconnect(server->stub);
        close_connection(server);
}

static void on_connection(void *userdata, int fd, uint32_t events) {
        GdbServer *server = userdata;
        uint8_t data[4096];
        ssize_t n;

        if (events & EPOLLOUT)
                flush_output(server);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                        server->broken = true;
                if (n > 0 && !gdb_stub_receive(server->stub, data, (size_t) n))
                        server->broken = true;
        }
        if (server->broken)
                give_up(server);
}

static int accept_debugger(GdbServer *server, int fd) {
        int on = 1, r;

        r = gdb_stub_new(server->ops, server->target, send_bytes, server, &server->stub);
        if (r < 0)
                return r;
        server->fd = fd;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        r = loop_add_fd(server->loop, fd, EPOLLIN, on_connection, server, &server->connection);
        if (r < 0) {
                close_connection(server);
                return r;
        }
        server->ops->stop(server->target);
        log_info("a debugger connected");
        return 0;
}

static void on_listen(void *userdata, int listen_fd, uint32_t events) {
        GdbServer *server = userdata;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int r;

        if (fd < 0)
                return;
        if (server->stub) {
                log_warning("a second debugger is turned away");
                (void) close(fd);
                return;
        }
        r = accept_debugger(server, fd);
        if (r < 0) {
                log_warning("serve a debugger: %s", strerror(-r));
                if (server->fd < 0)
                        (void) close(fd);
        }
}

static int listen_tcp(uint16_t port, int *ret_fd) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        _cleanup_(fd_closep) int fd =
                socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 1) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int listen_unix(const char *path, int *ret_fd) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd =
                socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        r = unix_bind(fd, &address);
        if (r < 0)
                return r;
        /* Whoever connects rules the machine. */
        if (chmod(path, 0600) < 0 || listen(fd, 1) < 0) {
                r = -errno;
                (void) unlink(path);
                return r;
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Made by whoever started us, who removes its name too. */
static int listen_inherited(int inherited, int *ret_fd) {
        _cleanup_(fd_closep) int fd = fd_dup_cloexec(inherited);
        socklen_t len = sizeof(int);
        int listens = 0;

        if (fd < 0)
                return fd;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
                return -errno;
        if (!listens)
                return -EINVAL;
        if (fd_set_nonblock(fd, true) < 0)
                return -EINVAL;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int start_listening(GdbServer *server, const char *address) {
        int r, inherited;
        uint32_t port;

        if (fd_path_parse(address, &inherited))
                return listen_inherited(inherited, &server->listen_fd);
        if (parse_u32(address, &port) == 0 && port > 0 && port <= UINT16_MAX)
                return listen_tcp((uint16_t) port, &server->listen_fd);
        r = listen_unix(address, &server->listen_fd);
        if (r < 0)
                return r;
        r = fd_path_open_parent(address, &server->dir_fd, &server->name);
        if (r < 0)
                (void) unlink(address);
        return r;
}

/**
 * gdb_server_new() - listen for a debugger
 * @address: a TCP port, the path of a Unix socket to make, or /proc/self/fd/N for one that listens already
 * @target:  borrowed; its stop() is called when a debugger connects
 *
 * Return: 0; negative errno with a sentence.
 */
int gdb_server_new(Loop *loop, const char *address, const GdbTargetOps *ops, void *target,
                   GdbServer **ret, TextError *reterr) {
        _cleanup_(gdb_server_freep) GdbServer *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        server->loop = loop;
        server->ops = ops;
        server->target = target;
        server->listen_fd = server->fd = server->dir_fd = -EBADF;
        r = start_listening(server, address);
        if (r < 0)
                return text_error_set(reterr, r, "cannot listen for a debugger at %s: %s", address,
                                      strerror(-r));
        r = loop_add_fd(loop, server->listen_fd, EPOLLIN, on_listen, server, &server->listen);
        if (r < 0)
                return r;
        *ret = TAKE(server);
        return 0;
}

/** gdb_server_free() - close the connection without a word to the machine. Return: NULL. */
GdbServer *gdb_server_free(GdbServer *server) {
        if (!server)
                return NULL;
        close_connection(server);
        (void) loop_remove(server->listen);
        (void) fd_close(server->listen_fd);
        if (server->name)
                (void) unlinkat(server->dir_fd, server->name, 0);
        free(server->name);
        (void) fd_close(server->dir_fd);
        free(server);
        return NULL;
}

/** gdb_server_stub() - that of the connected debugger, or NULL */
GdbStub *gdb_server_stub(GdbServer *server) {
        return server->stub;
}

/** gdb_server_ended() - the machine has ended: tell the debugger, waiting for it a moment at most */
void gdb_server_ended(GdbServer *server, int status) {
        if (!server->stub)
                return;
        gdb_stub_ended(server->stub, status);
        if (server->n_output > 0 && !server->broken) {
                struct pollfd waiting = {.fd = server->fd, .events = POLLOUT};

                if (poll(&waiting, 1, LAST_WORD_MSEC) > 0)
                        flush_output(server);
        }
}
