/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/net/net.h"
#include "vmm/net/tap_open.h"

/*
 * A TAP interface of the host, one descriptor a queue pair. The kernel's header on each frame is the one that virtio
 * has, so frames go between the kernel and guest memory with one system call and no copy of ours. An interface that is
 * down swallows nothing: reads find no frame and writes are refused (EIO), both of which pass. One that was deleted
 * (EBADFD) never comes back.
 */

/* Since Linux 6.2; the headers of a Debian 12 are older. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

typedef struct TapQueue {
        NetDev *net; /* owner */
        unsigned pair;
        int fd;             /* owned */
        LoopSource *source; /* owned */
        bool watched;       /* readable() is wanted */
        bool blocked;       /* writable() is owed */
} TapQueue;

typedef struct Tap {
        NetDev net;
        Loop *loop; /* borrowed */
        TapQueue queues[NET_PAIRS_MAX];
} Tap;

static Tap *tap_of(NetDev *net) {
        return (Tap *) net;
}

/* The interface is gone, and the kernel would tell of it in every turn. */
static void tap_gone(Tap *tap) {
        for (unsigned i = 0; i < tap->net.n_pairs; i++)
                tap->queues[i].source = loop_remove(tap->queues[i].source);
        if (!tap->net.link_up)
                return;
        tap->net.link_up = false;
        if (tap->net.handler.link_changed)
                tap->net.handler.link_changed(tap->net.handler.frontend);
}

static void update_events(TapQueue *queue) {
        uint32_t events = (queue->watched ? EPOLLIN : 0) | (queue->blocked ? EPOLLOUT : 0);

        if (queue->source)
                (void) loop_set_events(queue->source, events);
}

static void tap_ready(void *userdata, int fd, uint32_t events) {
        TapQueue *queue = userdata;
        const NetHandler *handler = &queue->net->handler;

        if (events & EPOLLERR) {
                tap_gone(tap_of(queue->net));
                return;
        }
        if ((events & EPOLLOUT) && queue->blocked) {
                queue->blocked = false;
                update_events(queue);
                handler->writable(handler->frontend, queue->pair);
        }
        if ((events & EPOLLIN) && queue->watched)
                handler->readable(handler->frontend, queue->pair);
}

static int tap_receive(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n,
                       size_t *ret_len) {
        ssize_t len = readv(tap_of(net)->queues[pair].fd, iov, (int) n);

        if (len < 0)
                return errno == EBADFD ? -ENODEV : -EAGAIN;
        *ret_len = (size_t) len;
        return 0;
}

static int tap_send(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n) {
        TapQueue *queue = &tap_of(net)->queues[pair];

        if (writev(queue->fd, iov, (int) n) >= 0)
                return 0;
        if (errno != EAGAIN && errno != EINTR)
                return -errno;
        queue->blocked = true;
        update_events(queue);
        return -EAGAIN;
}

static void tap_watch(NetDev *net, unsigned pair, bool on) {
        TapQueue *queue = &tap_of(net)->queues[pair];

        if (queue->watched == on)
                return;
        queue->watched = on;
        update_events(queue);
}

static unsigned tun_offloads(unsigned offloads) {
        unsigned tun = 0;

        if (offloads & NET_OFFLOAD_CSUM)
                tun |= TUN_F_CSUM;
        if (offloads & NET_OFFLOAD_TSO4)
                tun |= TUN_F_TSO4;
        if (offloads & NET_OFFLOAD_TSO6)
                tun |= TUN_F_TSO6;
        if (offloads & NET_OFFLOAD_ECN)
                tun |= TUN_F_TSO_ECN;
        if (offloads & NET_OFFLOAD_USO)
                tun |= TUN_F_USO4 | TUN_F_USO6;
        return tun;
}

static int tap_set_offloads(NetDev *net, unsigned offloads) {
        unsigned long flags = tun_offloads(offloads);

        return ioctl(tap_of(net)->queues[0].fd, TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

/* A detached queue polls as an error, so it has no source. */
static int set_attached(TapQueue *queue, bool on) {
        struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

        if (on == (queue->source != NULL) || !queue->net->link_up)
                return 0;
        if (!on)
                queue->source = loop_remove(queue->source);
        if (ioctl(queue->fd, TUNSETQUEUE, &ifr) < 0)
                return -errno;
        return on ? loop_add_fd(tap_of(queue->net)->loop, queue->fd, queue->watched ? EPOLLIN : 0,
                                tap_ready, queue, &queue->source)
                  : 0;
}

/* The kernel spreads flows over the queues that are attached. All are at first. */
static int tap_set_pairs(NetDev *net, unsigned n) {
        for (unsigned i = 1; i < net->n_pairs; i++) {
                int r = set_attached(&tap_of(net)->queues[i], i < n);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int tap_fd(NetDev *net, unsigned pair) {
        return tap_of(net)->queues[pair].fd;
}

static NetDev *tap_free(NetDev *net) {
        Tap *tap = tap_of(net);

        for (unsigned i = 0; i < NET_PAIRS_MAX; i++) {
                (void) loop_remove(tap->queues[i].source);
                (void) fd_close(tap->queues[i].fd);
        }
        free(tap);
        return NULL;
}

static const NetOps tap_ops = {
        .name = "tap",
        .receive = tap_receive,
        .send = tap_send,
        .watch = tap_watch,
        .set_offloads = tap_set_offloads,
        .set_pairs = tap_set_pairs,
        .tap_fd = tap_fd,
        .free = tap_free,
};

/* ---- making ---- */

/* What the kernel can do is what it lets us ask for. */
static unsigned find_offloads(NetDev *net) {
        static const unsigned choices[] = {
                NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN |
                        NET_OFFLOAD_USO,
                NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN,
                NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6,
                NET_OFFLOAD_CSUM,
        };

        for (size_t i = 0; i < ELEMENTSOF(choices); i++)
                if (tap_set_offloads(net, choices[i]) >= 0) {
                        (void) tap_set_offloads(net, 0);
                        return choices[i];
                }
        return 0;
}

static uint16_t find_mtu(const char *interface) {
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq ifr = {0};

        memcpy(ifr.ifr_name, interface, IFNAMSIZ);
        /* Fails when the interface is in another network namespace: then the guest is told nothing. */
        if (fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr) < 0 || ifr.ifr_mtu < 68 || ifr.ifr_mtu > 65535)
                return 0;
        return (uint16_t) ifr.ifr_mtu;
}

/* Return: 0 and the interface's name and flags; negative errno with a sentence. */
static int check_queue(int fd, struct ifreq *ret, TextError *reterr) {
        struct ifreq ifr = {0};
        int header = NET_HEADER_LEN, one = 1;

        if (ioctl(fd, TUNGETIFF, &ifr) < 0)
                return text_error_set(reterr, -errno, "descriptor %d is no TAP interface: %s", fd,
                                      strerror(errno));
        if ((ifr.ifr_flags & NET_TAP_FLAGS) != NET_TAP_FLAGS)
                return text_error_set(reterr, -EINVAL,
                                      "%.*s was not opened with IFF_TAP, IFF_NO_PI and "
                                      "IFF_VNET_HDR",
                                      IFNAMSIZ, ifr.ifr_name);
        if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 || ioctl(fd, TUNSETVNETLE, &one) < 0)
                return text_error_set(reterr, -errno, "cannot set the frame header of %.*s: %s",
                                      IFNAMSIZ, ifr.ifr_name, strerror(errno));
        *ret = ifr;
        return 0;
}

/* Queues that nobody passed are opened by the interface's name, which takes the right to do so. */
static int add_queues(Tap *tap, unsigned n_have, TextError *reterr) {
        struct ifreq ifr = {0};
        int r;

        for (unsigned i = 0; i < tap->net.n_pairs; i++) {
                TapQueue *queue = &tap->queues[i];

                if (i >= n_have) {
                        r = net_tap_open_queue(ifr.ifr_name, true, &queue->fd, reterr);
                        if (r < 0)
                                return r;
                }
                r = check_queue(queue->fd, &ifr, reterr);
                if (r < 0)
                        return r;
                if (tap->net.n_pairs > 1 && !(ifr.ifr_flags & IFF_MULTI_QUEUE))
                        return text_error_set(reterr, -EINVAL,
                                              "%.*s was not opened with IFF_MULTI_QUEUE", IFNAMSIZ,
                                              ifr.ifr_name);
                r = fd_set_nonblock(queue->fd, true);
                if (r < 0)
                        return r;
                r = loop_add_fd(tap->loop, queue->fd, 0, tap_ready, queue, &queue->source);
                if (r < 0)
                        return r;
        }
        tap->net.mtu = find_mtu(ifr.ifr_name);
        return 0;
}

/**
 * net_tap_new_consume() - a backend from descriptors of one TAP interface
 * @fds:      consumed, on failure too; opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR
 * @n_fds:    1..@n_pairs; further queues are opened by the interface's name
 * @n_pairs:  1..NET_PAIRS_MAX; more than one needs IFF_MULTI_QUEUE
 * @loop:     borrowed, outlives the result; must not run yet, or be the caller's thread's
 *
 * Return: 0; -EINVAL and what the kernel says, with a sentence; -ENOMEM.
 */
int net_tap_new_consume(const int *fds, unsigned n_fds, unsigned n_pairs, Loop *loop, NetDev **ret,
                        TextError *reterr) {
        Tap *tap = calloc(1, sizeof(*tap));
        _cleanup_(net_freep) NetDev *net = tap ? &tap->net : NULL;
        int r;

        if (!net) {
                for (unsigned i = 0; i < n_fds; i++)
                        (void) fd_close(fds[i]);
                return -ENOMEM;
        }
        net->ops = &tap_ops;
        net->n_pairs = n_pairs;
        net->link_up = true;
        tap->loop = loop;
        for (unsigned i = 0; i < NET_PAIRS_MAX; i++)
                tap->queues[i] =
                        (TapQueue){.net = net, .pair = i, .fd = i < n_fds ? fds[i] : -EBADF};
        r = add_queues(tap, n_fds, reterr);
        if (r < 0)
                return r;
        net->offloads = find_offloads(net);
        *ret = TAKE(net);
        return 0;
}

/**
 * net_tap_open() - a backend from the TAP interface @name, which is made when there is none
 *
 * Otherwise as net_tap_new_consume().
 */
int net_tap_open(const char *name, unsigned n_pairs, Loop *loop, NetDev **ret, TextError *reterr) {
        int fd = -EBADF, r;

        r = net_tap_open_queue(name, n_pairs > 1, &fd, reterr);
        if (r < 0)
                return r;
        return net_tap_new_consume(&fd, 1, n_pairs, loop, ret, reterr);
}
