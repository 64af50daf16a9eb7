/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/unix_bind.h"

#define BACKLOG 64

typedef struct Connection {
        NetdServer *server; /* owner */
        int fd;             /* owned, non-blocking */
        sd_event_source *source;
        LIST_ENTRY(Connection) link;
} Connection;

struct NetdServer {
        sd_event *event;    /* borrowed */
        Networks *networks; /* borrowed */
        int fd;             /* owned */
        sd_event_source *source;
        LIST_HEAD(, Connection) connections;
        unsigned n_connections;
        NetdServedFn served;
        void *userdata; /* borrowed */
};

/**
 * netd_server_listen() - a socket at @path, in the place of one that nobody listens at; for root and this user alone
 * @ret_fd: non-blocking, owned by the caller
 *
 * Return: 0 or negative errno.
 */
int netd_server_listen(const char *path, int *ret_fd) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd =
                socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        mode_t mask;
        int r;

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        mask = umask(0177);
        r = unix_bind(fd, &address);
        (void) umask(mask);
        if (r == 0 && listen(fd, BACKLOG) < 0)
                r = -errno;
        if (r == 0)
                *ret_fd = TAKE_FD(fd);
        return r;
}

static void connection_free(Connection *connection) {
        NetdServer *server = connection->server;

        LIST_REMOVE(connection, link);
        server->n_connections--;
        (void) sd_event_source_disable_unref(connection->source);
        (void) fd_close(connection->fd);
        free(connection);
}

/* An asker that does not read its answers loses them, and the interfaces with them. */
static int send_answer(int fd, const char *json, const Tap *tap) {
        union {
                char bytes[CMSG_SPACE(sizeof(int) * VM_NETWORK_QUEUES_MAX)];
                struct cmsghdr align;
        } control = {0};
        struct iovec iov = {.iov_base = (void *) (uintptr_t) json, .iov_len = strlen(json)};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

        if (tap->n_fds > 0) {
                const size_t len = sizeof(int) * tap->n_fds;
                struct cmsghdr *head = &control.align;

                msg.msg_control = control.bytes;
                msg.msg_controllen = CMSG_SPACE(len);
                *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                         .cmsg_type = SCM_RIGHTS,
                                         .cmsg_len = CMSG_LEN(len)};
                memcpy(CMSG_DATA(head), tap->fds, len);
        }
        return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int work_off(Networks *networks, const char *json, Tap *tap, TextError *reterr) {
        NetRequest request;
        int r = net_request_parse(json, &request, reterr);

        if (r < 0)
                return r;
        switch (request.kind) {
        case NET_REQUEST_TAP:
                r = networks_add_tap(networks, &request, tap, reterr);
                break;
        case NET_REQUEST_RELEASE:
                r = networks_release(networks, request.vm_id, reterr);
                break;
        }
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, request.vm_name, "%s", text_error_message(reterr, r));
        else if (request.kind == NET_REQUEST_TAP)
                log_line(LOG_LEVEL_INFO, request.vm_name, "interface %s in network \"%s\"",
                         tap->interface, request.network);
        return r;
}

/* Return: 0; negative errno when the asker cannot be answered. */
static int answer(Connection *connection, const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(tap_close) Tap tap = {0};
        _cleanup_(freep) char *text = NULL;
        NetAnswer said = {0};
        int r;

        r = work_off(connection->server->networks, json, &tap, &error);
        if (r < 0)
                said.error = strdup(text_error_message(&error, r));
        else {
                memcpy(said.interface, tap.interface, sizeof(said.interface));
                said.ifindex = tap.ifindex;
        }
        r = r < 0 && !said.error ? -ENOMEM : net_answer_format(&said, &text);
        net_answer_deinit(&said);
        return r < 0 ? r : send_answer(connection->fd, text, &tap);
}

/* Descriptors that come along are not taken: there is no room for them. */
static int on_request(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        _cleanup_(freep) char *json = malloc(NET_MESSAGE_MAX + 1);
        Connection *connection = userdata;
        NetdServer *server = connection->server;
        ssize_t n = json ? recv(fd, json, NET_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC) : 0;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || (size_t) n > NET_MESSAGE_MAX || memchr(json, '\0', (size_t) n))
                connection_free(connection);
        else {
                json[n] = '\0';
                if (answer(connection, json) < 0)
                        connection_free(connection);
        }
        server->served(server->userdata);
        return 0;
}

static bool may_ask(int fd) {
        struct ucred peer;
        socklen_t len = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
               (peer.uid == 0 || peer.uid == geteuid());
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        NetdServer *server = userdata;
        Connection *connection;
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer < 0)
                return 0;
        connection = may_ask(peer) && server->n_connections < NETD_CONNECTIONS_MAX
                             ? calloc(1, sizeof(*connection))
                             : NULL;
        if (!connection) {
                (void) fd_close(peer);
                return 0;
        }
        *connection = (Connection){.server = server, .fd = peer};
        LIST_INSERT_HEAD(&server->connections, connection, link);
        server->n_connections++;
        if (sd_event_add_io(server->event, &connection->source, peer, EPOLLIN, on_request,
                            connection) < 0)
                connection_free(connection);
        return 0;
}

/**
 * netd_server_new() - take requests
 * @fd:       a listening socket; consumed, on failure too
 * @networks: borrowed
 * @served:   called when there may be something to do besides
 *
 * Return: 0 or negative errno.
 */
int netd_server_new(sd_event *event, int fd, Networks *networks, NetdServedFn served,
                    void *userdata, NetdServer **ret) {
        _cleanup_(netd_server_freep) NetdServer *server = calloc(1, sizeof(*server));
        int r;

        if (!server) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        *server = (NetdServer){.event = event,
                               .networks = networks,
                               .fd = fd,
                               .served = served,
                               .userdata = userdata};
        LIST_INIT(&server->connections);
        r = sd_event_add_io(event, &server->source, fd, EPOLLIN, on_connection, server);
        if (r < 0)
                return r;
        *ret = TAKE(server);
        return 0;
}

/** netd_server_free() - drop all connections. @server may be NULL. Return: NULL. */
NetdServer *netd_server_free(NetdServer *server) {
        Connection *connection;

        if (!server)
                return NULL;
        while ((connection = LIST_FIRST(&server->connections)))
                connection_free(connection);
        (void) sd_event_source_disable_unref(server->source);
        (void) fd_close(server->fd);
        free(server);
        return NULL;
}

/** netd_server_n_connections() - those that are open */
unsigned netd_server_n_connections(const NetdServer *server) {
        return server->n_connections;
}
