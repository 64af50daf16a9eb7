/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "base/unix_bind.h"

/* A scraper asks at once and reads at once; one that does not must not keep others out. */
#define CLIENT_TIMEOUT_USEC (5 * USEC_PER_SEC)

typedef struct Client {
        MetricsServer *server;    /* weak */
        int fd;                   /* owned */
        sd_event_source *io;      /* owned */
        sd_event_source *timeout; /* owned */
        char request[METRICS_REQUEST_BYTES_MAX + 1];
        size_t n_request;
        char *answer; /* owned; NULL until the request is whole */
        size_t n_answer, sent;
        TAILQ_ENTRY(Client) link;
} Client;

struct MetricsServer {
        sd_event *event; /* borrowed */
        MetricsWriteFn write;
        void *userdata;      /* borrowed */
        char *path;          /* owned; NULL until it is bound */
        int fd;              /* owned */
        sd_event_source *io; /* owned */
        TAILQ_HEAD(, Client) clients;
        unsigned n_clients;
};

static Client *client_free(Client *client) {
        if (!client)
                return NULL;
        (void) sd_event_source_disable_unref(client->io);
        (void) sd_event_source_disable_unref(client->timeout);
        (void) fd_close(client->fd);
        free(client->answer);
        free(client);
        return NULL;
}

static void drop_client(Client *client) {
        MetricsServer *server = client->server;

        TAILQ_REMOVE(&server->clients, client, link);
        /* There is room for one more. */
        if (server->n_clients-- == METRICS_CLIENTS_MAX)
                (void) sd_event_source_set_enabled(server->io, SD_EVENT_ON);
        (void) client_free(client);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        drop_client(userdata);
        return 0;
}

static int set_answer(Client *client, const char *status, const char *type, const char *body) {
        StrBuf text = {0};

        strbuf_printf(&text,
                      "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                      "Connection: close\r\n\r\n",
                      status, type, strlen(body));
        /* A HEAD wants no more than that. */
        if (!str_after_prefix(client->request, "HEAD "))
                strbuf_append(&text, body);
        client->n_answer = text.len;
        return strbuf_finish(&text, &client->answer);
}

/* Only the path counts; a query behind it does not. */
static bool is_for_metrics(const char *target) {
        size_t n = strcspn(target, " ?\r\n");

        return (n == 1 && target[0] == '/') || (n == 8 && memcmp(target, "/metrics", 8) == 0);
}

static int answer(Client *client) {
        const char *target = str_after_prefix(client->request, "GET ");
        ExpositionFormat format = strstr(client->request, "application/openmetrics-text")
                                          ? EXPOSITION_OPENMETRICS
                                          : EXPOSITION_PROMETHEUS;
        _cleanup_(freep) char *body = NULL;
        int r;

        if (!target)
                target = str_after_prefix(client->request, "HEAD ");
        if (!target)
                return set_answer(client, "405 Method Not Allowed", "text/plain",
                                  "only GET and HEAD are known here\n");
        if (!is_for_metrics(target))
                return set_answer(client, "404 Not Found", "text/plain",
                                  "metrics are at /metrics\n");
        r = client->server->write(client->server->userdata, format, &body);
        if (r < 0)
                return r;
        return set_answer(client, "200 OK", exposition_content_type(format), body);
}

/* Return: 1 when the request is whole, 0 when more is to come, negative errno to give up. */
static int receive(Client *client) {
        ssize_t n = recv(client->fd, client->request + client->n_request,
                         METRICS_REQUEST_BYTES_MAX - client->n_request, MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        client->n_request += (size_t) n;
        client->request[client->n_request] = '\0';
        if (strstr(client->request, "\r\n\r\n") || strstr(client->request, "\n\n"))
                return 1;
        return client->n_request == METRICS_REQUEST_BYTES_MAX ? -EMSGSIZE : 0;
}

/* Return: 1 when all is sent, 0 when more is to be, negative errno to give up. */
static int transmit(Client *client) {
        ssize_t n = send(client->fd, client->answer + client->sent, client->n_answer - client->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        client->sent += (size_t) n;
        return client->sent == client->n_answer;
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Client *client = userdata;
        int r;

        if (!client->answer) {
                r = receive(client);
                if (r > 0)
                        r = answer(client);
                if (r == 0 && client->answer)
                        r = sd_event_source_set_io_events(source, EPOLLOUT);
        } else {
                r = transmit(client);
                if (r > 0)
                        r = -ESHUTDOWN; /* done */
        }
        if (r < 0)
                drop_client(client);
        return 0;
}

static int add_client(MetricsServer *server, int *fd) {
        Client *client = calloc(1, sizeof(*client));
        int r;

        if (!client)
                return -ENOMEM;
        client->server = server;
        client->fd = TAKE_FD(*fd);
        r = sd_event_add_io(server->event, &client->io, client->fd, EPOLLIN, on_client, client);
        if (r >= 0)
                r = sd_event_add_time_relative(server->event, &client->timeout, CLOCK_MONOTONIC,
                                               CLIENT_TIMEOUT_USEC, 0, on_timeout, client);
        if (r < 0) {
                (void) client_free(client);
                return r;
        }
        TAILQ_INSERT_TAIL(&server->clients, client, link);
        /* Further ones wait in the kernel. */
        if (++server->n_clients == METRICS_CLIENTS_MAX)
                (void) sd_event_source_set_enabled(server->io, SD_EVENT_OFF);
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        _cleanup_(fd_closep) int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int r;

        if (client < 0)
                return 0; /* it left again, or descriptors ran out; the next one may fare better */
        r = add_client(userdata, &client);
        if (r < 0)
                log_warning("serve metrics: %s", strerror(-r));
        return 0;
}

static int bind_path(int fd, const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return unix_bind(fd, &address);
}

/**
 * metrics_server_new() - listen at @path, for the daemon's own user only
 * @event: borrowed
 * @write: makes the text of an answer; called on the event loop
 *
 * Return: 0 or negative errno.
 */
int metrics_server_new(sd_event *event, const char *path, MetricsWriteFn write, void *userdata,
                       MetricsServer **ret) {
        _cleanup_(metrics_server_freep) MetricsServer *server = malloc(sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        *server =
                (MetricsServer){.event = event, .write = write, .userdata = userdata, .fd = -EBADF};
        TAILQ_INIT(&server->clients);
        server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (server->fd < 0)
                return -errno;
        r = bind_path(server->fd, path);
        if (r < 0)
                return r;
        server->path = strdup(path);
        if (!server->path)
                return -ENOMEM;
        if (listen(server->fd, (int) METRICS_CLIENTS_MAX) < 0)
                return -errno;
        r = sd_event_add_io(event, &server->io, server->fd, EPOLLIN, on_connection, server);
        if (r < 0)
                return r;
        *ret = TAKE(server);
        return 0;
}

/** metrics_server_free() - close all connections and remove the socket. Return: NULL. */
MetricsServer *metrics_server_free(MetricsServer *server) {
        Client *client;

        if (!server)
                return NULL;
        while ((client = TAILQ_FIRST(&server->clients))) {
                TAILQ_REMOVE(&server->clients, client, link);
                (void) client_free(client);
        }
        (void) sd_event_source_disable_unref(server->io);
        (void) fd_close(server->fd);
        if (server->path)
                (void) unlink(server->path);
        free(server->path);
        free(server);
        return NULL;
}
