/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clients are bounded and kept apart: each has a bounded number of requests under way, a message is read into one bounded
 * buffer, descriptors are CLOEXEC from birth and closed when nobody took them, answers are sent without waiting, and a
 * client that does not read its answers is dropped. When a new client finds no place, the one that was silent longest
 * gives up its own, so that nobody can keep the others out by connecting.
 */

#include "vmm/control/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vmm/control/listen.h"

typedef struct ControlClient {
        ControlServer *server; /* weak */
        struct ControlClient *next, *previous;
        int fd;             /* owned */
        LoopSource *source; /* owned */
        unsigned n_calls;   /* unanswered */
        uint64_t last_used; /* ControlServer.n_messages then */
} ControlClient;

struct ControlCall {
        ControlServer *server; /* weak */
        ControlClient *client; /* weak; NULL once it has gone */
        ControlCall *next, *previous;
        ControlRequest request;
        int fds[CONTROL_FDS_MAX]; /* owned */
        unsigned n_fds;
};

typedef struct Handler {
        ControlHandler fn; /* NULL: this machine has nothing of the kind */
        void *userdata;    /* borrowed */
} Handler;

struct ControlServer {
        Loop *loop; /* borrowed */
        ControlListener listener;
        LoopSource *source;     /* owned */
        ControlClient *clients; /* owned */
        unsigned n_clients;
        ControlCall *calls; /* owned; unanswered */
        uint64_t n_messages;
        Handler handlers[CONTROL_KINDS];
        char buffer[CONTROL_MESSAGE_MAX + 1];
};

/* ---- clients ---- */

static ControlClient *client_free(ControlClient *client) {
        ControlServer *server = client->server;

        for (ControlCall *call = server->calls; call; call = call->next)
                if (call->client == client)
                        call->client = NULL;
        if (client->previous)
                client->previous->next = client->next;
        else
                server->clients = client->next;
        if (client->next)
                client->next->previous = client->previous;
        server->n_clients--;
        loop_remove(client->source);
        (void) fd_close(client->fd);
        free(client);
        return NULL;
}

/* Reads on, or not, as the number of its calls says. */
static void client_set_reading(ControlClient *client) {
        (void) loop_set_events(client->source, client->n_calls < CONTROL_CALLS_MAX ? EPOLLIN : 0);
}

/* Return: whether the client is still there. */
static bool client_send(ControlClient *client, const char *json) {
        ssize_t n = send(client->fd, json, strlen(json), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n >= 0)
                return true;
        if (errno == EAGAIN)
                log_warning("a client of the control socket does not read its answers, "
                            "disconnecting it");
        (void) client_free(client);
        return false;
}

/* ---- calls ---- */

static ControlCall *call_free(ControlCall *call) {
        ControlServer *server = call->server;

        if (call->previous)
                call->previous->next = call->next;
        else
                server->calls = call->next;
        if (call->next)
                call->next->previous = call->previous;
        for (unsigned i = 0; i < call->n_fds; i++)
                (void) fd_close(call->fds[i]);
        control_request_deinit(&call->request);
        free(call);
        return NULL;
}

/** control_call_request() - what is asked; borrowed until the call is answered */
const ControlRequest *control_call_request(const ControlCall *call) {
        return &call->request;
}

/**
 * control_call_take_fd() - take over the descriptor that the request names
 *
 * Return: the descriptor, CLOEXEC, owned by the caller; -ENOENT when it names none or it was taken already.
 */
int control_call_take_fd(ControlCall *call) {
        if (call->request.fd_index < 0 || (unsigned) call->request.fd_index >= call->n_fds ||
            call->fds[call->request.fd_index] < 0)
                return -ENOENT;
        return TAKE_FD(call->fds[call->request.fd_index]);
}

/** control_call_answer() - send @answer, borrowed for the call, and release @call */
void control_call_answer(ControlCall *call, const ControlAnswer *answer) {
        static const char no_memory[] = "{\"Err\":12}"; /* ENOMEM */
        ControlClient *client = call->client;
        _cleanup_(freep) char *json = NULL;

        (void) call_free(call);
        if (!client)
                return;
        client->n_calls--;
        if (client_send(client, control_answer_format(answer, &json) < 0 ? no_memory : json))
                client_set_reading(client);
}

/** control_call_ok() - it was done */
void control_call_ok(ControlCall *call) {
        control_call_answer(call, &(ControlAnswer){.kind = CONTROL_OK});
}

/** control_call_fail() - it was not done; a sentence says why, and is prefixed with the request's name */
void control_call_fail(ControlCall *call, const char *format, ...) {
        const ControlRequest *request = &call->request;
        char text[512];
        va_list ap;
        int n;

        n = snprintf(text, sizeof(text), "%s: ",
                     request->kind == CONTROL_UNSUPPORTED && request->text
                             ? request->text
                             : control_kind_name(request->kind));
        va_start(ap, format);
        (void) vsnprintf(text + n, sizeof(text) - (size_t) n, format, ap);
        va_end(ap);
        control_call_answer(call, &(ControlAnswer){.kind = CONTROL_ERR_STRING, .text = text});
}

/* ---- messages ---- */

/* Descriptors of a message become the caller's; those beyond @fds' room were never received. */
static unsigned take_fds(struct msghdr *message, int *fds) {
        unsigned n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                size_t len;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                len = c->cmsg_len - CMSG_LEN(0);
                memcpy(fds + n, CMSG_DATA(c), len);
                n += (unsigned) (len / sizeof(int));
        }
        return n;
}

/* Return: bytes; 0 at the end of the connection; negative errno. */
static ssize_t receive(ControlClient *client, ControlCall *call, int *ret_flags) {
        union {
                char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = {
                .iov_base = client->server->buffer,
                .iov_len = CONTROL_MESSAGE_MAX,
        };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return -errno;
        call->n_fds = take_fds(&message, call->fds);
        client->server->buffer[n] = '\0';
        *ret_flags = message.msg_flags;
        return n;
}

static int parse(ControlCall *call, ssize_t len, int flags, TextError *reterr) {
        const char *json = call->server->buffer;

        if (flags & MSG_TRUNC)
                return text_error_set(reterr, -E2BIG, "longer than %u bytes", CONTROL_MESSAGE_MAX);
        if (flags & MSG_CTRUNC)
                return text_error_set(reterr, -E2BIG, "comes with more than %u descriptors",
                                      CONTROL_FDS_MAX);
        if (strlen(json) != (size_t) len)
                return text_error_set(reterr, -EINVAL, "holds a zero byte");
        return control_request_parse(json, call->n_fds, &call->request, reterr);
}

static void refuse(ControlCall *call, const char *why) {
        char text[512];

        (void) snprintf(text, sizeof(text), "%s", why);
        control_call_answer(call, &(ControlAnswer){.kind = CONTROL_ERR_STRING, .text = text});
}

static void dispatch(ControlCall *call) {
        const Handler *handler = &call->server->handlers[call->request.kind];

        if (call->request.kind == CONTROL_UNSUPPORTED)
                control_call_fail(call, "not supported by this VMM");
        else if (!handler->fn)
                control_call_fail(call, "this machine has no device for it");
        else
                handler->fn(handler->userdata, call);
}

static ControlCall *call_new(ControlClient *client) {
        ControlServer *server = client->server;
        ControlCall *call = calloc(1, sizeof(*call));

        if (!call)
                return NULL;
        call->server = server;
        call->client = client;
        call->request = (ControlRequest){.kind = CONTROL_UNSUPPORTED, .fd_index = -1};
        call->next = server->calls;
        if (call->next)
                call->next->previous = call;
        server->calls = call;
        return call;
}

static void on_client(void *userdata, int fd, uint32_t events) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlClient *client = userdata;
        ControlCall *call;
        int flags = 0, r;
        ssize_t n;

        if (!(events &
              EPOLLIN)) { /* nobody is there, and it has too many calls under way to be read */
                (void) client_free(client);
                return;
        }
        call = call_new(client);
        if (!call) {
                (void) client_free(client);
                return;
        }
        n = receive(client, call, &flags);
        if (n <= 0) {
                (void) call_free(call);
                if (n != -EAGAIN)
                        (void) client_free(client);
                return;
        }
        client->last_used = ++client->server->n_messages;
        client->n_calls++;
        r = parse(call, n, flags, &error);
        if (r < 0) {
                refuse(call, text_error_message(&error, r));
                return;
        }
        if (client->n_calls >= CONTROL_CALLS_MAX)
                client_set_reading(client);
        dispatch(call);
}

/* ---- connections ---- */

static void drop_most_idle(ControlServer *server) {
        ControlClient *idle = server->clients;

        for (ControlClient *client = idle; client; client = client->next)
                if (client->last_used < idle->last_used)
                        idle = client;
        if (idle)
                (void) client_free(idle);
}

/* Consumes @fd. */
static int client_new(ControlServer *server, int fd) {
        ControlClient *client = calloc(1, sizeof(*client));
        int r = client ? 0 : -ENOMEM;

        if (r == 0) {
                *client = (ControlClient){
                        .server = server,
                        .next = server->clients,
                        .fd = fd,
                        .last_used = ++server->n_messages,
                };
                r = loop_add_fd(server->loop, fd, EPOLLIN, on_client, client, &client->source);
        }
        if (r < 0) {
                (void) fd_close(fd);
                free(client);
                return r;
        }
        if (client->next)
                client->next->previous = client;
        server->clients = client;
        server->n_clients++;
        return 0;
}

static void on_connection(void *userdata, int fd, uint32_t events) {
        ControlServer *server = userdata;
        int client, r;

        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0 && (errno == EMFILE || errno == ENFILE))
                drop_most_idle(server); /* the connection stays in the queue: make room for it */
        if (client < 0)
                return;
        if (server->n_clients >= CONTROL_CLIENTS_MAX)
                drop_most_idle(server);
        r = client_new(server, client);
        if (r < 0)
                log_error("cannot serve a client of the control socket: %s", strerror(-r));
}

/**
 * control_server_new() - a server that does not listen yet
 * @loop: borrowed, outlives the server
 *
 * Return: 0 or -ENOMEM.
 */
int control_server_new(Loop *loop, ControlServer **ret) {
        ControlServer *server = calloc(1, sizeof(*server));

        if (!server)
                return -ENOMEM;
        server->loop = loop;
        server->listener = CONTROL_LISTENER_NONE;
        *ret = server;
        return 0;
}

/** control_server_free() - disconnect everybody; on the loop's thread or after it ended; NULL is fine. Return: NULL. */
ControlServer *control_server_free(ControlServer *server) {
        if (!server)
                return NULL;
        while (server->clients)
                (void) client_free(server->clients);
        while (server->calls)
                (void) call_free(server->calls);
        loop_remove(server->source);
        control_listener_close(&server->listener);
        free(server);
        return NULL;
}

/**
 * control_server_handle() - have @handler answer requests of @kind; replaces an earlier handler, NULL removes it
 * @userdata: borrowed while registered
 */
void control_server_handle(ControlServer *server, ControlKind kind, ControlHandler handler,
                           void *userdata) {
        server->handlers[kind] = (Handler){.fn = handler, .userdata = userdata};
}

static int start(ControlServer *server) {
        return loop_add_fd(server->loop, server->listener.fd, EPOLLIN, on_connection, server,
                           &server->source);
}

/**
 * control_server_listen() - accept connections at @path, as crosvm's --socket
 * @path: a new socket; a directory in which one gets a name; or /proc/self/fd/N for one that listens already
 *
 * Once. Return: 0; negative errno with a sentence.
 */
int control_server_listen(ControlServer *server, const char *path, TextError *reterr) {
        int r = control_listener_open(path, &server->listener, reterr);

        return r < 0 ? r : start(server);
}

/** control_server_listen_consume() - accept connections on a socket that listens already; once */
int control_server_listen_consume(ControlServer *server, int listen_fd) {
        server->listener.fd = listen_fd;
        return start(server);
}
