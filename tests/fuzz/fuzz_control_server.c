/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control socket's server: clients that send what they like with descriptors that they like, read their answers late
 * or not at all, and go. Requests are answered at once, later, or never.
 *
 * Input: records: act, client, u16 length, then as many bytes of a message.
 */

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/le.h"
#include "vmm/control/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 200u
#define CLIENTS 40u /* more than there are places */
#define KEPT_MAX 64u
#define MESSAGE_MAX 20000u

enum { ACT_CONNECT, ACT_SEND, ACT_SEND_FDS, ACT_READ, ACT_CLOSE, ACT_ANSWER, ACT_TURN, ACTS };

typedef struct Fuzzed {
        Loop *loop;
        LoopSource *stop;
        ControlServer *server;
        struct sockaddr_un address;
        socklen_t address_len;
        int clients[CLIENTS];
        ControlCall *kept[KEPT_MAX]; /* unanswered */
        unsigned n_kept;
} Fuzzed;

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

/* Answers some at once and some later. */
static void on_request(void *userdata, ControlCall *call) {
        const ControlRequest *request = control_call_request(call);
        Fuzzed *f = userdata;

        (void) fd_close(control_call_take_fd(call));
        if (request->kind == CONTROL_STATE)
                control_call_answer(call, &(ControlAnswer){.kind = CONTROL_ANSWER_STATE});
        else if (f->n_kept == KEPT_MAX || (request->index & 1))
                control_call_fail(call, "no: %s", request->text ?: "");
        else
                f->kept[f->n_kept++] = call;
}

static void listen_anywhere(Fuzzed *f) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

        /* autobind: a name of its own in the abstract namespace */
        f->address = (struct sockaddr_un){.sun_family = AF_UNIX};
        f->address_len = sizeof(f->address);
        r = fd < 0 || bind(fd, (struct sockaddr *) &f->address, sizeof(sa_family_t)) < 0 ||
            listen(fd, 64) < 0 ||
            getsockname(fd, (struct sockaddr *) &f->address, &f->address_len) < 0;
        assert(r == 0);
        r = control_server_listen_consume(f->server, fd);
        assert(r == 0);
}

static void fuzzed_init(Fuzzed *f) {
        int r;

        memset(f, 0, sizeof(*f));
        for (unsigned i = 0; i < CLIENTS; i++)
                f->clients[i] = -EBADF;
        r = loop_new(&f->loop);
        assert(r == 0);
        r = loop_add_timer(f->loop, end_turn, f->loop, &f->stop);
        assert(r == 0);
        r = control_server_new(f->loop, &f->server);
        assert(r == 0);
        for (unsigned kind = 0; kind < CONTROL_UNSUPPORTED; kind++)
                control_server_handle(f->server, (ControlKind) kind, on_request, f);
        listen_anywhere(f);
}

static void turn(Fuzzed *f) {
        (void) loop_set_timer(f->stop, clock_monotonic_nsec() + 20000);
        (void) loop_run(f->loop);
}

static void connect_client(Fuzzed *f, int *client) {
        (void) fd_close(*client);
        *client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (*client >= 0 && connect(*client, (struct sockaddr *) &f->address, f->address_len) < 0)
                *client = fd_close(*client);
}

static void send_with_fds(int client, const uint8_t *data, size_t len, unsigned n) {
        union {
                char bytes[CMSG_SPACE(64 * sizeof(int))];
                struct cmsghdr align;
        } control = {0};
        static uint8_t bytes[MESSAGE_MAX];
        struct iovec iov = {.iov_base = bytes, .iov_len = len};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = CMSG_SPACE(n * sizeof(int))};
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        memcpy(bytes, data, len);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        for (unsigned i = 0; i < n; i++)
                memcpy(CMSG_DATA(c) + i * sizeof(int), &client, sizeof(int));
        (void) sendmsg(client, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer_one(Fuzzed *f) {
        ControlCall *call;

        if (f->n_kept == 0)
                return;
        call = f->kept[--f->n_kept];
        if (f->n_kept & 1)
                control_call_fail(call, "late");
        else
                control_call_ok(call);
}

static void perform(Fuzzed *f, unsigned act, int *client, const uint8_t *data, size_t len) {
        char answer[4096];

        switch (act % ACTS) {
        case ACT_CONNECT:
                connect_client(f, client);
                break;
        case ACT_SEND:
                (void) send(*client, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case ACT_SEND_FDS:
                if (*client >= 0)
                        send_with_fds(*client, data, len, 1 + (unsigned) len % 40);
                break;
        case ACT_READ:
                (void) recv(*client, answer, sizeof(answer), MSG_DONTWAIT);
                break;
        case ACT_CLOSE:
                *client = fd_close(*client);
                break;
        case ACT_ANSWER:
                answer_one(f);
                break;
        default:
                turn(f);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Fuzzed f;

        fuzzed_init(&f);
        for (unsigned i = 0; i < RECORDS_MAX && size >= 4; i++) {
                size_t len = le16_load(data + 2);

                len = MIN(len, size - 4);
                len = MIN(len, (size_t) MESSAGE_MAX);

                perform(&f, data[0], &f.clients[data[1] % CLIENTS], data + 4, len);
                data += 4 + len;
                size -= 4 + len;
        }
        turn(&f);
        control_server_free(f.server);
        for (unsigned i = 0; i < CLIENTS; i++)
                (void) fd_close(f.clients[i]);
        loop_remove(f.stop);
        loop_free(f.loop);
        return 0;
}
