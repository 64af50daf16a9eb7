/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/virtio/devices.h"
#include "vmm/virtio/vhost_queue.h"

/*
 * The socket device whose packets the host's kernel moves (vhost-vsock): the guest has a context id that all of the host
 * knows, and programs use AF_VSOCK on both sides. Connections stay while the machine is suspended; senders then wait.
 * The event queue is ours: nothing ever happens that it would tell of.
 *
 * The queues share a vector. In a stream every packet that was taken is soon followed by credit in the other queue; with
 * a vector each the guest is interrupted for both, 1.4 times as often.
 */

#define QUEUE_RECEIVE 0u
#define QUEUE_TRANSMIT 1u
#define QUEUE_EVENT 2u
#define N_QUEUES 3u

#define DATA_QUEUE_SIZE 256u
#define EVENT_QUEUE_SIZE 16u

#define VSOCK_F_SEQPACKET (UINT64_C(1) << 1)

typedef struct VhostVsock {
        VirtioDevice dev;
        Vhost *vhost;      /* owned */
        uint8_t config[8]; /* guest_cid */
        int wake_fd;       /* owned eventfd: a vCPU has asked for a reset */
        LoopSource *wake;  /* owned */
        bool in_kernel;    /* both data queues */
        bool suspended;
        bool resetting;
} VhostVsock;

static int give_queues(VhostVsock *vsock) {
        VirtioDevice *dev = &vsock->dev;
        int r;

        r = vhost_begin(vsock->vhost, dev->accepted & vhost_features(vsock->vhost));
        if (r < 0)
                return r;
        r = virtio_vhost_give(dev, QUEUE_RECEIVE, vsock->vhost, QUEUE_RECEIVE);
        if (r < 0)
                return r;
        r = virtio_vhost_give(dev, QUEUE_TRANSMIT, vsock->vhost, QUEUE_TRANSMIT);
        if (r < 0)
                virtio_device_take_back(dev, QUEUE_RECEIVE);
        return r;
}

static void take_queues(VhostVsock *vsock) {
        virtio_vhost_take(&vsock->dev, QUEUE_RECEIVE, vsock->vhost, QUEUE_RECEIVE);
        virtio_vhost_take(&vsock->dev, QUEUE_TRANSMIT, vsock->vhost, QUEUE_TRANSMIT);
}

static int start(VhostVsock *vsock) {
        int r;

        r = give_queues(vsock);
        if (r < 0)
                return r;
        r = vhost_vsock_set_running(vsock->vhost, true);
        if (r < 0) {
                take_queues(vsock);
                return r;
        }
        vsock->in_kernel = true;
        /* What was offered while nobody listened. */
        virtio_device_kick(&vsock->dev, QUEUE_RECEIVE);
        virtio_device_kick(&vsock->dev, QUEUE_TRANSMIT);
        return 0;
}

static void stop(VhostVsock *vsock) {
        int r = vhost_vsock_set_running(vsock->vhost, false);

        if (r < 0)
                log_debug("vhost-vsock: stop: errno %d, ignoring", -r);
        take_queues(vsock);
        vsock->in_kernel = false;
}

/* Lock held, on the loop. */
static void update(VhostVsock *vsock) {
        const VirtQueue *queues = vsock->dev.queues;
        bool wanted = vsock->dev.running && !vsock->suspended && queues[QUEUE_RECEIVE].enabled &&
                      queues[QUEUE_TRANSMIT].enabled;
        int r = 0;

        if (vsock->in_kernel && !wanted)
                stop(vsock);
        else if (!vsock->in_kernel && wanted)
                r = start(vsock);
        if (r < 0) {
                log_error("vhost-vsock: start: %s", strerror(-r));
                virtio_device_broken(&vsock->dev, "the host's kernel refuses the queues");
        }
}

static void vsock_notify(VirtioDevice *dev, unsigned queue) {
        update((VhostVsock *) dev);
}

static void on_error(void *userdata, unsigned ring) {
        VhostVsock *vsock = userdata;

        virtio_device_lock(&vsock->dev);
        if (vsock->dev.running) {
                virtio_device_broken(&vsock->dev,
                                     "the host's kernel cannot use what is in a socket queue");
                update(vsock);
        }
        virtio_device_unlock(&vsock->dev);
}

/* ---- reset, suspend, end ---- */

/* The kernel is stopped on the loop. */
static int vsock_reset(VirtioDevice *dev) {
        VhostVsock *vsock = (VhostVsock *) dev;

        if (!vsock->in_kernel)
                return 0;
        vsock->resetting = true;
        (void) eventfd_write(vsock->wake_fd, 1); /* fails only when one is pending already */
        return VIRTIO_E_PENDING;
}

static void woken(void *userdata, int fd, uint32_t events) {
        VhostVsock *vsock = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        virtio_device_lock(&vsock->dev);
        if (vsock->resetting) {
                vsock->resetting = false;
                update(vsock);
                virtio_device_reset_done(&vsock->dev);
        }
        virtio_device_unlock(&vsock->dev);
}

static void vsock_suspend(VirtioDevice *dev) {
        VhostVsock *vsock = (VhostVsock *) dev;

        vsock->suspended = true;
        update(vsock);
}

static void vsock_resume(VirtioDevice *dev) {
        VhostVsock *vsock = (VhostVsock *) dev;

        vsock->suspended = false;
        update(vsock);
}

static VirtioDevice *vsock_free(VirtioDevice *dev) {
        VhostVsock *vsock = (VhostVsock *) dev;

        (void) vhost_free(vsock->vhost);
        (void) loop_remove(vsock->wake);
        (void) fd_close(vsock->wake_fd);
        free(vsock);
        return NULL;
}

static const VirtioOps vsock_ops = {
        .name = "vhost-vsock",
        .type = VIRTIO_TYPE_VSOCK,
        .notify = vsock_notify,
        .reset = vsock_reset,
        .suspend = vsock_suspend,
        .resume = vsock_resume,
        .free = vsock_free,
};

/**
 * virtio_vhost_vsock_new() - sockets between the guest and the host's kernel
 * @vhost:      consumed on success; of vhost-vsock
 * @guest_cid:  3..4294967294
 * @loop:       the device's; borrowed
 *
 * Return: 0; -EADDRINUSE when another VM has the context id, -EOPNOTSUPP when the kernel is too old for virtio 1, other
 * negative errno; with a sentence.
 */
int virtio_vhost_vsock_new(Vhost *vhost, uint64_t guest_cid, Loop *loop, VirtioDevice **ret,
                           TextError *reterr) {
        _cleanup_(freep) VhostVsock *vsock = calloc(1, sizeof(*vsock));
        VirtioDevice *dev;
        int r;

        if (!vsock)
                return -ENOMEM;
        if (!(vhost_features(vhost) & VIRTIO_F_VERSION_1))
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "the host's vhost-vsock knows nothing of virtio 1");
        r = vhost_vsock_set_cid(vhost, guest_cid, reterr);
        if (r < 0)
                return r;
        dev = &vsock->dev;
        dev->ops = &vsock_ops;
        dev->offered = vhost_features(vhost) & VSOCK_F_SEQPACKET;
        dev->withheld = VIRTIO_VHOST_RING_FEATURES & ~vhost_features(vhost);
        dev->config = vsock->config;
        dev->config_len = sizeof(vsock->config);
        dev->n_queues = N_QUEUES;
        dev->shares_vector = true;
        dev->queue_size_max[QUEUE_RECEIVE] = DATA_QUEUE_SIZE;
        dev->queue_size_max[QUEUE_TRANSMIT] = DATA_QUEUE_SIZE;
        dev->queue_size_max[QUEUE_EVENT] = EVENT_QUEUE_SIZE;
        le64_store(vsock->config, guest_cid);
        vsock->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (vsock->wake_fd < 0)
                return -errno;
        r = loop_add_fd(loop, vsock->wake_fd, EPOLLIN, woken, vsock, &vsock->wake);
        if (r < 0) {
                (void) fd_close(vsock->wake_fd);
                return r;
        }
        vhost_set_handler(vhost, on_error, vsock);
        vsock->vhost = vhost;
        TAKE(vsock);
        *ret = dev;
        return 0;
}
