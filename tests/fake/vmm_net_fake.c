/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_net_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"

static FakeNet *fake_of(NetDev *net) {
        return (FakeNet *) net;
}

static void update(FakeNet *fake) {
        if (fake->source)
                (void) loop_set_events(fake->source, (fake->watched ? EPOLLIN : 0) |
                                                             (fake->blocked ? EPOLLOUT : 0));
}

static int fake_receive(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n,
                        size_t *ret_len) {
        struct iovec parts[NET_IOV_MAX];
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};
        ssize_t len;

        assert(n <= NET_IOV_MAX);
        for (unsigned i = 0; i < n; i++)
                parts[i] = iov[i];
        if (pair != 0)
                return -EAGAIN;
        len = recvmsg(fake_of(net)->fd, &message, MSG_DONTWAIT | MSG_TRUNC);
        if (len <= 0)
                return -EAGAIN;
        *ret_len = (size_t) len;
        return 0;
}

static int fake_send(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n) {
        struct iovec parts[NET_IOV_MAX];
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = n};

        assert(n <= NET_IOV_MAX);
        for (unsigned i = 0; i < n; i++)
                parts[i] = iov[i];
        if (sendmsg(fake_of(net)->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;
        if (errno != EAGAIN)
                return -errno;
        fake_of(net)->blocked = true;
        update(fake_of(net));
        return -EAGAIN;
}

static void fake_watch(NetDev *net, unsigned pair, bool on) {
        if (pair != 0)
                return;
        fake_of(net)->watched = on;
        update(fake_of(net));
}

static int fake_set_offloads(NetDev *net, unsigned offloads) {
        assert((offloads & ~net->offloads) == 0);
        fake_of(net)->offloads_told = offloads;
        return 0;
}

static int fake_set_pairs(NetDev *net, unsigned n) {
        assert(n >= 1 && n <= net->n_pairs);
        fake_of(net)->pairs_told = n;
        return 0;
}

static int fake_tap_fd(NetDev *net, unsigned pair) {
        return fake_of(net)->fd;
}

static NetDev *fake_free(NetDev *net) {
        (void) loop_remove(fake_of(net)->source);
        (void) fd_close(fake_of(net)->fd);
        free(net);
        return NULL;
}

static const NetOps fake_ops = {
        .name = "fake",
        .receive = fake_receive,
        .send = fake_send,
        .watch = fake_watch,
        .set_offloads = fake_set_offloads,
        .set_pairs = fake_set_pairs,
        .tap_fd = fake_tap_fd,
        .free = fake_free,
};

static void fake_ready(void *userdata, int fd, uint32_t events) {
        FakeNet *fake = userdata;

        if (events & (EPOLLHUP | EPOLLERR)) {
                fake->source = loop_remove(fake->source);
                fake->net.link_up = false;
                fake->net.handler.link_changed(fake->net.handler.frontend);
                return;
        }
        if (events & EPOLLOUT) {
                fake->blocked = false;
                update(fake);
                fake->net.handler.writable(fake->net.handler.frontend, 0);
        }
        if ((events & EPOLLIN) && fake->watched)
                fake->net.handler.readable(fake->net.handler.frontend, 0);
}

FakeNet *fake_net_new(Loop *loop, unsigned n_pairs, int *ret_wire) {
        FakeNet *fake = calloc(1, sizeof(*fake));
        int fds[2], r;

        assert(fake);
        r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
        assert(r == 0);
        fake->net = (NetDev){
                .ops = &fake_ops,
                .n_pairs = n_pairs,
                .offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 |
                            NET_OFFLOAD_ECN | NET_OFFLOAD_USO,
                .mtu = 1500,
                .link_up = true,
        };
        fake->fd = fds[0];
        *ret_wire = fds[1];
        r = loop_add_fd(loop, fake->fd, 0, fake_ready, fake, &fake->source);
        assert(r == 0);
        return fake;
}
