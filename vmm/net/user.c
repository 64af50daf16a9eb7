/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/log.h"
#include "base/str.h"
#include "vmm/helper/helper.h"
#include "vmm/net/net.h"

/*
 * A network without an interface or any right: passt(1), a process of its own in a sandbox of its own, opens ordinary
 * sockets for what the guest sends and answers DHCP, NDP and ARP. It talks to us over a stream socket, each frame
 * behind its length in four bytes, big endian. The helper sees what the guest sends and is mistrusted like it: a length
 * that no frame has ends the connection. When it is gone the link is down and stays so.
 */

#define HELPER "passt"
#define LENGTH_LEN 4u
#define FRAME_MIN 14u
#define FRAME_MAX (NET_FRAME_MAX - NET_HEADER_LEN)
#define MTU 65520u /* what passt tells the guest by DHCP as well */
#define IN_ROOM (2 * (LENGTH_LEN + FRAME_MAX))
#define OUT_ROOM (LENGTH_LEN + FRAME_MAX)

typedef struct UserNet {
        NetDev net;
        int pid_fd;         /* owned; of the helper; -EBADF = none to wait for */
        int fd;             /* owned socket */
        LoopSource *source; /* owned */
        bool watched;       /* readable() is wanted */
        bool blocked;       /* writable() is owed */
        bool broken;        /* what comes from the helper makes no sense */
        size_t in_start, in_end;
        size_t out_start, out_end; /* the rest of a frame that did not fit into the socket */
        uint8_t in[IN_ROOM];
        uint8_t out[OUT_ROOM];
} UserNet;

static UserNet *user_of(NetDev *net) {
        return (UserNet *) net;
}

static void update_events(UserNet *user) {
        uint32_t events = (user->watched ? EPOLLIN : 0) | (user->blocked ? EPOLLOUT : 0);

        if (user->source)
                (void) loop_set_events(user->source, events);
}

static void user_gone(UserNet *user) {
        log_warning("the helper " HELPER " of a user-mode network is gone; its link is down");
        user->source = loop_remove(user->source);
        user->fd = fd_close(user->fd);
        user->net.link_up = false;
        user->net.handler.link_changed(user->net.handler.frontend);
}

/* ---- frames for the guest ---- */

/* Length of the first frame in the buffer when all of it is there, 0 otherwise. */
static size_t complete_frame(UserNet *user) {
        size_t have = user->in_end - user->in_start;
        uint32_t len;

        if (have < LENGTH_LEN)
                return 0;
        memcpy(&len, user->in + user->in_start, sizeof(len));
        len = ntohl(len);
        if (len < FRAME_MIN || len > FRAME_MAX) {
                user->broken = true;
                (void) shutdown(user->fd, SHUT_RDWR); /* seen by the loop as its end */
                return 0;
        }
        return have - LENGTH_LEN >= len ? len : 0;
}

static int fill(UserNet *user) {
        ssize_t n;

        memmove(user->in, user->in + user->in_start, user->in_end - user->in_start);
        user->in_end -= user->in_start;
        user->in_start = 0;
        n = recv(user->fd, user->in + user->in_end, sizeof(user->in) - user->in_end, MSG_DONTWAIT);
        if (n <= 0)
                return -EAGAIN; /* an end comes as an event of its own */
        user->in_end += (size_t) n;
        return 0;
}

static int user_receive(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n,
                        size_t *ret_len) {
        static const uint8_t no_header[NET_HEADER_LEN];
        UserNet *user = user_of(net);
        size_t len;

        for (;;) {
                if (user->broken || user->fd < 0)
                        return -EAGAIN;
                len = complete_frame(user);
                if (len > 0)
                        break;
                if (user->broken || fill(user) < 0)
                        return -EAGAIN;
        }
        iov_scatter(iov, n, 0, no_header, sizeof(no_header));
        iov_scatter(iov, n, NET_HEADER_LEN, user->in + user->in_start + LENGTH_LEN, len);
        user->in_start += LENGTH_LEN + len;
        *ret_len = NET_HEADER_LEN + len;
        return 0;
}

/* ---- frames from the guest ---- */

static int user_blocked(UserNet *user) {
        user->blocked = true;
        update_events(user);
        return -EAGAIN;
}

/* Return: whether nothing is left over from the frame before. */
static bool flush(UserNet *user) {
        while (user->out_start < user->out_end) {
                ssize_t n = send(user->fd, user->out + user->out_start,
                                 user->out_end - user->out_start, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0)
                        return false;
                user->out_start += (size_t) n;
        }
        user->out_start = user->out_end = 0;
        return true;
}

/*
 * Whether a whole frame fits: the kernel says so as long as a quarter of the socket's buffer is taken at most. passt of 2023
 * loses its place in the stream when it finds a part of a frame, and reads nothing from the guest any more.
 */
static bool has_room(const UserNet *user) {
        struct pollfd out = {.fd = user->fd, .events = POLLOUT};

        return poll(&out, 1, 0) != 0; /* an error is what sending shows */
}

static int user_send(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n) {
        uint32_t len = (uint32_t) (iov_total(iov, n) - NET_HEADER_LEN), prefix = htonl(len);
        struct iovec parts[1 + NET_IOV_MAX] = {{&prefix, sizeof(prefix)}};
        UserNet *user = user_of(net);
        struct msghdr message = {.msg_iov = parts};
        ssize_t sent;

        if (user->fd < 0)
                return -ENODEV;
        if (len < FRAME_MIN || len > FRAME_MAX)
                return -EMSGSIZE;
        if (!flush(user))
                return errno == EAGAIN ? user_blocked(user) : -errno;
        if (!has_room(user))
                return user_blocked(user);
        message.msg_iovlen = 1 + iov_slice(iov, n, NET_HEADER_LEN, len, parts + 1);
        sent = sendmsg(user->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
                return errno == EAGAIN ? user_blocked(user) : -errno;
        user->out_end = iov_gather(parts, (unsigned) message.msg_iovlen, (uint64_t) sent, user->out,
                                   sizeof(user->out));
        return 0;
}

static void user_watch(NetDev *net, unsigned pair, bool on) {
        user_of(net)->watched = on;
        update_events(user_of(net));
}

static void user_ready(void *userdata, int fd, uint32_t events) {
        UserNet *user = userdata;
        const NetHandler *handler = &user->net.handler;

        if (events & (EPOLLHUP | EPOLLERR)) {
                user_gone(user);
                return;
        }
        if ((events & EPOLLOUT) && user->blocked && flush(user)) {
                user->blocked = false;
                update_events(user);
                handler->writable(handler->frontend, 0);
        }
        if ((events & EPOLLIN) && user->watched)
                handler->readable(handler->frontend, 0);
}

static NetDev *user_free(NetDev *net) {
        UserNet *user = user_of(net);

        (void) loop_remove(user->source);
        (void) fd_close(user->fd);
        (void) helper_end(user->pid_fd);
        free(user);
        return NULL;
}

static const NetOps user_ops = {
        .name = "user",
        .receive = user_receive,
        .send = user_send,
        .watch = user_watch,
        .free = user_free,
};

/* ---- making ---- */

static int add_forward(StrVec *argv, const VmmForward *forward) {
        int r = strvec_add(argv, forward->udp ? "--udp-ports" : "--tcp-ports");

        return r < 0 ? r
                     : strvec_addf(argv, "%s%s%u:%u", forward->address ?: "",
                                   forward->address ? "/" : "", forward->host_port,
                                   forward->guest_port);
}

/*
 * The gateway is not mapped to the host's loopback, as passt would do unasked: what listens there trusts the host's own
 * programs, and the guest is none.
 */
static int helper_arguments(const VmmNet *config, StrVec *argv) {
        static const char *const fixed[] = {HELPER, "--foreground", "--quiet", "--no-map-gw"};
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(fixed) && r == 0; i++)
                r = strvec_add(argv, fixed[i]);
        if (r == 0)
                r = strvec_addf(argv, "--mtu=%u", MTU);
        if (r == 0)
                r = strvec_addf(argv, "--fd=%d", HELPER_FIRST_FD);
        for (size_t i = 0; i < config->n_forwards && r == 0; i++)
                r = add_forward(argv, &config->forwards[i]);
        return r;
}

static int start_helper(UserNet *user, const VmmNet *config, TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec argv = {0};
        _cleanup_(fd_closep) int theirs = -EBADF;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        user->fd = fds[0];
        theirs = fds[1];
        r = helper_arguments(config, &argv);
        if (r < 0)
                return r;
        return helper_start(&(HelperConfig){.argv = argv.items, .fds = &theirs, .n_fds = 1},
                            &user->pid_fd, reterr);
}

/**
 * net_user_new() - a backend that is a helper's sockets
 * @config: its forwards; borrowed for the call
 * @loop:   borrowed, outlives the result
 *
 * The helper ends with the backend. Return: 0; negative errno with a sentence; -ENOMEM.
 */
int net_user_new(const VmmNet *config, Loop *loop, NetDev **ret, TextError *reterr) {
        UserNet *user = calloc(1, sizeof(*user));
        _cleanup_(net_freep) NetDev *net = user ? &user->net : NULL;
        int r;

        if (!net)
                return -ENOMEM;
        net->ops = &user_ops;
        net->n_pairs = 1;
        net->mtu = MTU;
        net->link_up = true;
        user->fd = user->pid_fd = -EBADF;
        r = start_helper(user, config, reterr);
        if (r < 0)
                return r;
        r = loop_add_fd(loop, user->fd, 0, user_ready, user, &user->source);
        if (r < 0)
                return r;
        *ret = TAKE(net);
        return 0;
}
