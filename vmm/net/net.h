/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where the frames of a network device go: a NetDev is one backend (a TAP interface, a user-mode network), the
 * frontend is a device model. A frame is Ethernet behind a 12-byte header as in virtio 1.2 section 5.1.6
 * (struct virtio_net_hdr_v1, little endian), in both directions.
 *
 * Threads: everything runs on the loop that the backend was made with, set_offloads() and set_pairs() included.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/vmm_net.h"
#include "vmm/event/loop.h"

typedef struct NetDev NetDev;

#define NET_HEADER_LEN 12u
/* Of a frame with its header: 64 KiB that the host left in one piece behind Ethernet, VLAN tag and all. */
#define NET_FRAME_MAX (NET_HEADER_LEN + 18u + 65535u)
#define NET_PAIRS_MAX 16u
#define NET_IOV_MAX 257u /* parts of a frame */

/* What a backend can do beyond plain frames, and what it may be told to put into frames for the guest. */
enum {
        NET_OFFLOAD_CSUM = 1 << 0, /* checksums left to the receiver */
        NET_OFFLOAD_TSO4 = 1 << 1, /* TCP segments of up to 64 KiB */
        NET_OFFLOAD_TSO6 = 1 << 2,
        NET_OFFLOAD_ECN = 1 << 3, /* the same with ECN bits */
        NET_OFFLOAD_USO = 1 << 4, /* UDP of up to 64 KiB, to be cut */
};

typedef struct NetOps {
        const char *name;
        /* Takes one frame for the guest into @iov. Never waits. Return: 0 and its length, which is more than @iov has
         * room for when it was cut; -EAGAIN when there is none; -ENODEV when there will be none any more. */
        int (*receive)(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n,
                       size_t *ret_len);
        /* Sends one frame from the guest. Never waits. Return: 0; -EAGAIN when it must be tried again after writable();
         * another negative errno when the frame is lost. */
        int (*send)(NetDev *net, unsigned pair, const struct iovec *iov, unsigned n);
        /* Whether readable() shall be called while there are frames. Off at first. */
        void (*watch)(NetDev *net, unsigned pair, bool on);
        /* Optional: frames for the guest may use NET_OFFLOAD_* @offloads, a part of what @net can do. */
        int (*set_offloads)(NetDev *net, unsigned offloads);
        /* Optional: frames for the guest are spread over the first @n pairs, 1..n_pairs. */
        int (*set_pairs)(NetDev *net, unsigned n);
        /* Optional: the TAP queue of @pair, from and to which the host's kernel may move frames itself; borrowed. */
        int (*tap_fd)(NetDev *net, unsigned pair);
        NetDev *(*free)(NetDev *net);
} NetOps;

/* What a frontend is told; never from inside one of its own calls. */
typedef struct NetHandler {
        void (*readable)(void *frontend, unsigned pair);
        void (*writable)(void *frontend, unsigned pair); /* after send() gave -EAGAIN, once */
        void (*link_changed)(void *frontend);            /* @link_up is another */
        void *frontend;                                  /* weak */
} NetHandler;

/* First member of each backend. */
struct NetDev {
        const NetOps *ops;
        unsigned n_pairs;   /* 1..NET_PAIRS_MAX */
        unsigned offloads;  /* NET_OFFLOAD_* */
        uint16_t mtu;       /* 0: the guest is not told one */
        bool link_up;       /* frames can go through */
        NetHandler handler; /* set by the frontend before the loop runs */
};

static inline NetDev *net_free(NetDev *net) {
        return net ? net->ops->free(net) : NULL;
}
DEFINE_CLEANUP(NetDev *, net_free)

/* ---- tap.c ---- */

int net_tap_open(const char *name, unsigned n_pairs, Loop *loop, NetDev **ret, TextError *reterr);
int net_tap_new_consume(const int *fds, unsigned n_fds, unsigned n_pairs, Loop *loop, NetDev **ret,
                        TextError *reterr);

/* ---- tap_make.c ---- */

int net_tap_make(const VmmNet *config, Loop *loop, NetDev **ret, TextError *reterr);

/* ---- user.c ---- */

int net_user_new(const VmmNet *config, Loop *loop, NetDev **ret, TextError *reterr);
