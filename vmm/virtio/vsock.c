/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/iov.h"
#include "base/le.h"
#include "vmm/virtio/devices.h"
#include "vmm/vsock/muxer.h"
#include "vmm/vsock/packet.h"

/*
 * The socket device (virtio 1.2 section 5.10): moves packets between the queues and the muxer, which knows what they
 * mean. Stream sockets only. Packets of the guest are always taken, whether or not it has buffers for answers, so that
 * the two directions cannot wait for each other.
 */

#define QUEUE_RECEIVE 0u
#define QUEUE_TRANSMIT 1u
#define QUEUE_EVENT 2u
#define N_QUEUES 3u

/* Linux fills the receive queue with buffers of 4 KiB. */
#define DATA_QUEUE_SIZE 256u
#define EVENT_QUEUE_SIZE 16u

typedef struct VirtioVsock {
        VirtioDevice dev;
        Loop *loop;        /* borrowed */
        VsockMuxer *muxer; /* owned */
        uint8_t config[8]; /* guest_cid */
        int wake_fd;       /* owned eventfd: a vCPU has asked for a reset */
        LoopSource *wake;
        bool resetting;
        bool suspended;
        bool reset_event_due; /* the guest is to hear that its connections are gone */
} VirtioVsock;

/* ---- towards the guest ---- */

/* Return: whether to go on. */
static bool fill_one(VirtioVsock *vsock) {
        VirtioDevice *dev = &vsock->dev;
        VirtQueue *queue = dev->queues + QUEUE_RECEIVE;
        VirtqChain chain;
        size_t n;
        int r;

        r = virtio_device_pop(dev, QUEUE_RECEIVE, &chain);
        if (r != 0)
                return r == VIRTQ_E_EMPTY && virtq_want_notify(queue);
        if (chain.in_bytes <= VSOCK_HEADER_LEN) {
                virtio_device_broken(dev, "socket buffer without room for a header and a byte");
                return false;
        }
        n = vsock_muxer_send(vsock->muxer, chain.iov + chain.n_out, chain.n_in);
        if (n == 0)
                virtq_unpop(queue, chain.head);
        else
                virtq_push(queue, chain.head, (uint32_t) n);
        return true;
}

/* Gives the guest what is pending, as long as it has buffers, but no more than two rings of it in one turn. */
static void pump(VirtioVsock *vsock) {
        VirtioDevice *dev = &vsock->dev;
        unsigned budget = 2u * DATA_QUEUE_SIZE;

        if (!dev->running || vsock->suspended || !dev->queues[QUEUE_RECEIVE].enabled)
                return;
        while (dev->running && vsock_muxer_pending(vsock->muxer)) {
                if (budget-- == 0) {
                        virtio_device_kick(dev, QUEUE_RECEIVE);
                        break;
                }
                if (!fill_one(vsock))
                        break;
        }
        virtio_device_interrupt(dev, QUEUE_RECEIVE);
}

/* Tells the guest of a reset once it has a buffer for it. */
static void send_event(VirtioVsock *vsock) {
        VirtioDevice *dev = &vsock->dev;
        VirtQueue *queue = dev->queues + QUEUE_EVENT;
        uint8_t event[VSOCK_EVENT_LEN];
        VirtqChain chain;

        if (!vsock->reset_event_due || !dev->running || vsock->suspended || !queue->enabled)
                return;
        if (virtio_device_pop(dev, QUEUE_EVENT, &chain) != 0) {
                (void) virtq_want_notify(queue);
                return;
        }
        le32_store(event, VSOCK_EVENT_TRANSPORT_RESET);
        virtq_push(queue, chain.head,
                   (uint32_t) iov_scatter(chain.iov + chain.n_out, chain.n_in, 0, event,
                                          sizeof(event)));
        vsock->reset_event_due = false;
        virtio_device_interrupt(dev, QUEUE_EVENT);
}

/* ---- from the guest ---- */

static void take_packet(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        vsock_muxer_receive(((VirtioVsock *) dev)->muxer, chain->iov, chain->n_out);
        virtq_push(dev->queues + queue, chain->head, 0);
}

static void vsock_notify(VirtioDevice *dev, unsigned queue) {
        VirtioVsock *vsock = (VirtioVsock *) dev;

        if (queue == QUEUE_TRANSMIT)
                virtio_device_drain(dev, queue, take_packet);
        else if (queue == QUEUE_EVENT)
                send_event(vsock);
        pump(vsock);
}

/* ---- the muxer's turns ---- */

static void enter(void *device) {
        VirtioVsock *vsock = device;

        virtio_device_lock(&vsock->dev);
}

static void leave(void *device) {
        VirtioVsock *vsock = device;

        pump(vsock);
        virtio_device_unlock(&vsock->dev);
}

static const VsockMuxerOps muxer_ops = {.enter = enter, .leave = leave};

/* ---- reset, suspend, end ---- */

/* Sources may be taken off the loop on its own thread alone. */
static int vsock_reset(VirtioDevice *dev) {
        VirtioVsock *vsock = (VirtioVsock *) dev;

        vsock->resetting = true;
        (void) eventfd_write(vsock->wake_fd, 1); /* fails only when one is pending already */
        return VIRTIO_E_PENDING;
}

static void woken(void *userdata, int fd, uint32_t events) {
        VirtioVsock *vsock = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        virtio_device_lock(&vsock->dev);
        if (vsock->resetting) {
                vsock->resetting = false;
                vsock->reset_event_due = false;
                vsock_muxer_reset(vsock->muxer);
                virtio_device_reset_done(&vsock->dev);
        }
        virtio_device_unlock(&vsock->dev);
}

/* The hosts' ends of connections cannot be kept in an image, nor would they wait: a suspended machine has none. */
static void vsock_suspend(VirtioDevice *dev) {
        VirtioVsock *vsock = (VirtioVsock *) dev;

        vsock->suspended = true;
        vsock->reset_event_due = dev->running;
        vsock_muxer_reset(vsock->muxer);
}

static void vsock_resume(VirtioDevice *dev) {
        VirtioVsock *vsock = (VirtioVsock *) dev;

        vsock->suspended = false;
        send_event(vsock);
        pump(vsock); /* clients that came meanwhile */
}

/* A suspended device has no connections; after a restore the driver hears that they are gone. */
static void vsock_snapshot(VirtioDevice *dev, Snapshot *s) {
        VirtioVsock *vsock = (VirtioVsock *) dev;

        snapshot_expect(s, "the context id", le64_load(vsock->config));
        snapshot_bool(s, &vsock->reset_event_due);
}

static VirtioDevice *vsock_free(VirtioDevice *dev) {
        VirtioVsock *vsock = (VirtioVsock *) dev;

        vsock_muxer_free(vsock->muxer);
        loop_remove(vsock->wake);
        (void) fd_close(vsock->wake_fd);
        free(vsock);
        return NULL;
}

static const VirtioOps vsock_ops = {
        .name = "virtio-vsock",
        .type = VIRTIO_TYPE_VSOCK,
        .notify = vsock_notify,
        .reset = vsock_reset,
        .suspend = vsock_suspend,
        .resume = vsock_resume,
        .snapshot = vsock_snapshot,
        .free = vsock_free,
};

static int add_wake(VirtioVsock *vsock) {
        vsock->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (vsock->wake_fd < 0)
                return -errno;
        return loop_add_fd(vsock->loop, vsock->wake_fd, EPOLLIN, woken, vsock, &vsock->wake);
}

/**
 * virtio_vsock_new() - sockets between the guest and Unix sockets of the host
 * @config: copied, except for the loop
 *
 * Return: 0; negative errno with a sentence.
 */
int virtio_vsock_new(const VirtioVsockConfig *config, VirtioDevice **ret, TextError *reterr) {
        _cleanup_(virtio_device_freep) VirtioDevice *dev = NULL;
        VsockMuxerConfig muxer = {
                .loop = config->loop,
                .guest_cid = config->guest_cid,
                .dir = config->dir,
                .ops = &muxer_ops,
        };
        VirtioVsock *vsock;
        int r;

        vsock = calloc(1, sizeof(*vsock));
        if (!vsock)
                return -ENOMEM;
        dev = &vsock->dev;
        dev->ops = &vsock_ops;
        dev->config = vsock->config;
        dev->config_len = sizeof(vsock->config);
        dev->n_queues = N_QUEUES;
        dev->queue_size_max[QUEUE_RECEIVE] = DATA_QUEUE_SIZE;
        dev->queue_size_max[QUEUE_TRANSMIT] = DATA_QUEUE_SIZE;
        dev->queue_size_max[QUEUE_EVENT] = EVENT_QUEUE_SIZE;
        le64_store(vsock->config, config->guest_cid);
        vsock->loop = config->loop;
        vsock->wake_fd = -EBADF;
        r = add_wake(vsock);
        if (r < 0)
                return r;
        muxer.device = vsock;
        r = vsock_muxer_new(&muxer, &vsock->muxer, reterr);
        if (r < 0)
                return r;
        *ret = TAKE(dev);
        return 0;
}
