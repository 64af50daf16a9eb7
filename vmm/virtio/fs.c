/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/virtio/devices.h"

/*
 * The file system device (virtio 1.2 section 5.11): a folder of the host, served by a vhost-user process such as
 * virtiofsd. The device itself knows nothing of files: it hands requests over and their ends back. When the process is
 * gone, what it had and whatever comes after is answered with ENOTCONN, FUSE's word for a server that is no more: then
 * programs of the guest get an error and it can unmount. Asking for a reset would leave them waiting for ever, because
 * Linux has no answer to that here.
 */

/* Linux takes requests of as many pages as the queue has entries, less four; that must not exceed a chain's limit. */
#define FS_QUEUE_SIZE VIRTQ_CHAIN_MAX

#define CONFIG_QUEUES VIRTIO_FS_TAG_MAX

/* What FUSE puts before each request and each answer (linux/fuse.h), as far as it matters to us. */
#define FUSE_IN_UNIQUE 8u
#define FUSE_IN_LEN 16u /* up to the end of the request's number */
#define FUSE_OUT_LEN 16u

/* What it takes to answer a request that the process has. */
typedef struct FsRequest {
        uint64_t unique; /* its number */
        uint8_t *
                answer; /* FUSE_OUT_LEN bytes of guest memory, or NULL when there is no room for an answer */
        bool pending;
} FsRequest;

typedef struct VirtioFs {
        VirtioDevice dev;
        VhostUser *vhost; /* owned */
        char tag[VIRTIO_FS_TAG_MAX + 1];
        uint8_t config[VIRTIO_FS_CONFIG_LEN];
        unsigned n_pending;                                  /* requests that the process has */
        FsRequest requests[VIRTIO_FS_QUEUES][FS_QUEUE_SIZE]; /* by their chains' heads */
        bool lost;                                           /* it is gone */
        bool suspended;                                      /* what has ended waits */
        bool resetting; /* requests that end are forgotten; the last one ends the reset */
        bool full[VIRTIO_FS_QUEUES]; /* a request waits for room */
} VirtioFs;

static FsRequest describe(const VirtqChain *chain) {
        const struct iovec *in = chain->iov + chain->n_out;
        uint8_t header[FUSE_IN_LEN] = {0};
        FsRequest request = {.pending = true};

        (void) iov_gather(chain->iov, chain->n_out, 0, header, sizeof(header));
        request.unique = le64_load(header + FUSE_IN_UNIQUE);
        if (chain->n_in > 0 && in->iov_len >= FUSE_OUT_LEN)
                request.answer = in->iov_base;
        return request;
}

/* ---- the end of requests ---- */

/* In place of the process. */
static void refuse(VirtioFs *fs, unsigned queue, uint32_t head, const FsRequest *request) {
        if (request->answer) {
                le32_store(request->answer, FUSE_OUT_LEN);
                le32_store(request->answer + 4, (uint32_t) -ENOTCONN);
                le64_store(request->answer + 8, request->unique);
        }
        virtq_push(fs->dev.queues + queue, head, request->answer ? FUSE_OUT_LEN : 0);
}

static void refuse_chain(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        const FsRequest request = describe(chain);

        refuse((VirtioFs *) dev, queue, chain->head, &request);
}

static void end_reset(VirtioFs *fs) {
        fs->resetting = false;
        virtio_device_reset_done(&fs->dev);
}

/* Lock held, not suspended. What the process had, and what waits for room in its ring. */
static void refuse_all(VirtioFs *fs) {
        for (unsigned i = 0; i < VIRTIO_FS_QUEUES; i++) {
                for (unsigned head = 0; head < FS_QUEUE_SIZE; head++) {
                        FsRequest *request = &fs->requests[i][head];

                        if (request->pending && !fs->resetting)
                                refuse(fs, i, (uint16_t) head, request);
                        request->pending = false;
                }
                fs->full[i] = false;
                if (fs->dev.running) {
                        virtio_device_interrupt(&fs->dev, i);
                        virtio_device_kick(&fs->dev, i);
                }
        }
        fs->n_pending = 0;
        if (fs->resetting)
                end_reset(fs);
}

/* Lock held. */
static void lose(VirtioFs *fs, const char *cause) {
        log_error("shared folder %s: the process that serves it is lost: %s", fs->tag, cause);
        fs->lost = true;
        if (!fs->suspended)
                refuse_all(fs);
}

static void complete_all(VirtioFs *fs, unsigned queue) {
        VhostUserDone done;
        int r;

        while ((r = vhost_user_take(fs->vhost, queue, &done)) == 0) {
                fs->n_pending--;
                fs->requests[queue][done.tag].pending = false;
                if (!fs->resetting)
                        virtq_push(fs->dev.queues + queue, done.tag, done.written);
        }
        if (r < 0)
                lose(fs, "it ended a request that it was not given");
        else if (fs->resetting && fs->n_pending == 0)
                end_reset(fs);
}

static void on_completed(void *userdata, unsigned queue) {
        VirtioFs *fs = userdata;

        virtio_device_lock(&fs->dev);
        if (!fs->suspended && !fs->lost)
                complete_all(fs, queue);
        if (fs->dev.running) {
                virtio_device_interrupt(&fs->dev, queue);
                if (fs->full[queue])
                        virtio_device_kick(&fs->dev, queue);
                fs->full[queue] = false;
        }
        virtio_device_unlock(&fs->dev);
}

static void on_gone(void *userdata, const char *cause) {
        VirtioFs *fs = userdata;

        virtio_device_lock(&fs->dev);
        lose(fs, cause);
        virtio_device_unlock(&fs->dev);
}

/* ---- their start ---- */

/* Return: whether the next one may be taken. */
static bool submit(VirtioFs *fs, unsigned queue, const VirtqChain *chain) {
        VirtQueue *q = fs->dev.queues + queue;
        int r = vhost_user_submit(fs->vhost, queue, (uint16_t) chain->head, chain->iov,
                                  chain->n_out, chain->n_in);

        if (r == VHOST_USER_E_FULL) {
                virtq_unpop(q, chain->head);
                fs->full[queue] = true;
                return false;
        }
        if (r < 0)
                virtq_push(q, chain->head, 0); /* a request without buffers asks for nothing */
        else {
                fs->n_pending++;
                fs->requests[queue][chain->head] = describe(chain);
        }
        return true;
}

static void fs_notify(VirtioDevice *dev, unsigned queue) {
        VirtioFs *fs = (VirtioFs *) dev;
        VirtQueue *q = dev->queues + queue;
        unsigned budget = q->size;
        VirtqChain chain;

        if (fs->lost) {
                virtio_device_drain(dev, queue, refuse_chain);
                return;
        }
        for (; budget > 0; budget--) {
                int r = virtio_device_pop(dev, queue, &chain);

                if (r == VIRTQ_E_EMPTY && virtq_want_notify(q))
                        continue;
                if (r != 0 || !submit(fs, queue, &chain))
                        break;
        }
        vhost_user_kick(fs->vhost, queue);
        if (budget == 0)
                virtio_device_kick(dev, queue);
        virtio_device_interrupt(dev, queue);
}

static int fs_reset(VirtioDevice *dev) {
        VirtioFs *fs = (VirtioFs *) dev;

        memset(fs->requests, 0, sizeof(fs->requests));
        fs->resetting = fs->n_pending > 0;
        return fs->resetting ? VIRTIO_E_PENDING : 0;
}

static void fs_suspend(VirtioDevice *dev) {
        ((VirtioFs *) dev)->suspended = true;
}

static void fs_resume(VirtioDevice *dev) {
        VirtioFs *fs = (VirtioFs *) dev;

        fs->suspended = false;
        if (fs->lost) /* maybe meanwhile */
                refuse_all(fs);
        for (unsigned i = 0; i < VIRTIO_FS_QUEUES && !fs->lost; i++) {
                complete_all(fs, i);
                if (dev->running)
                        virtio_device_interrupt(dev, i);
        }
}

static VirtioDevice *fs_free(VirtioDevice *dev) {
        VirtioFs *fs = (VirtioFs *) dev;

        vhost_user_free(fs->vhost);
        free(fs);
        return NULL;
}

static const VirtioOps fs_ops = {
        .name = "virtio-fs",
        .type = VIRTIO_TYPE_FS,
        .notify = fs_notify,
        .reset = fs_reset,
        .suspend = fs_suspend,
        .resume = fs_resume,
        .free = fs_free,
};

/* The process serves the queues from now on: it does not depend on anything that the guest decides. */
static int start_queues(VhostUser *vhost) {
        int r = vhost_user_set_features(vhost, /* features= */ 0);

        for (unsigned i = 0; i < VIRTIO_FS_QUEUES && r == 0; i++)
                r = vhost_user_start(vhost, i);
        return r;
}

/* The tag that the process tells, if it is one that can be shown: it stands in the log. */
static int told_tag(const VhostUser *vhost, char ret[static VIRTIO_FS_TAG_MAX + 1]) {
        size_t len, n = 0;
        const uint8_t *config = vhost_user_config(vhost, &len);

        if (len < VIRTIO_FS_TAG_MAX)
                return -EPROTO;
        for (; n < VIRTIO_FS_TAG_MAX && config[n] != '\0'; n++)
                if (config[n] < ' ' || config[n] == 0x7f)
                        return -EPROTO;
        memcpy(ret, config, n);
        ret[n] = '\0';
        return n > 0 ? 0 : -EPROTO;
}

/**
 * virtio_fs_new() - a folder that the guest mounts by the name @tag
 * @vhost:  consumed on success; with VIRTIO_FS_QUEUES queues, on the same loop as the device's
 * @tag:    1..VIRTIO_FS_TAG_MAX bytes; copied; NULL: what the process tells, of which VIRTIO_FS_CONFIG_LEN bytes were read
 *
 * Return: 0; -EPROTO when the process tells no tag; -ENOMEM and other negative errno; with a sentence.
 */
int virtio_fs_new(VhostUser *vhost, const char *tag, VirtioDevice **ret, TextError *reterr) {
        char told[VIRTIO_FS_TAG_MAX + 1];
        VirtioFs *fs;
        int r;

        if (!tag && told_tag(vhost, told) < 0)
                return text_error_set(reterr, -EPROTO,
                                      "the process tells no tag; --vhost-user-fs can give one");
        tag = tag ?: told;
        r = start_queues(vhost);
        if (r < 0)
                return r;
        fs = calloc(1, sizeof(*fs));
        if (!fs)
                return -ENOMEM;
        fs->vhost = vhost;
        fs->dev.ops = &fs_ops;
        fs->dev.config = fs->config;
        fs->dev.config_len = sizeof(fs->config);
        fs->dev.n_queues = VIRTIO_FS_QUEUES;
        for (unsigned i = 0; i < VIRTIO_FS_QUEUES; i++)
                fs->dev.queue_size_max[i] =
                        (uint16_t) MIN(vhost_user_ring_size(vhost), FS_QUEUE_SIZE);
        memcpy(fs->tag, tag, strnlen(tag, VIRTIO_FS_TAG_MAX));
        memcpy(fs->config, fs->tag, VIRTIO_FS_TAG_MAX);
        le32_store(fs->config + CONFIG_QUEUES, VIRTIO_FS_QUEUES - 1); /* one is for priority */
        vhost_user_set_handler(
                vhost,
                &(VhostUserHandler){.completed = on_completed, .gone = on_gone, .userdata = fs});

        *ret = &fs->dev;
        return 0;
}
