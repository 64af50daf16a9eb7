/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/virtio/vhost_user_internal.h"

/*
 * A device that another process serves (vhost-user). It hands requests over and their ends back, and is the same for all
 * types: what differs is in vhost_user_kinds.c. The process serves the queues while the driver runs the device and the
 * machine is not suspended; it is asked to stop before a reset ends or the machine rests, and what it did not end by
 * then is offered again afterwards, or forgotten. When it is gone, the requests that it had fail as far as their type
 * has a word for that, and so does what comes after; nothing connects the device to another process.
 */

#define QUEUE_SIZE_DEFAULT 256u

static VhostUserRequest *request_of(VhostUserDevice *vd, unsigned queue, uint32_t head) {
        return &vd->requests[queue * vd->queue_size + head];
}

static VhostUserRequest describe(const VhostUserDevice *vd, const VirtqChain *chain) {
        VhostUserRequest request = {.pending = true};

        if (vd->kind->status)
                request.status = vd->kind->status(chain);
        request.waits = !request.status && chain->n_in > 0;
        return request;
}

/* ---- in place of the process ---- */

static void refuse(VhostUserDevice *vd, unsigned queue, uint32_t head,
                   const VhostUserRequest *request) {
        if (request->status)
                *request->status = vd->kind->failure;
        if (!request->waits)
                virtq_push(vd->dev.queues + queue, head, request->status ? 1 : 0);
}

static void refuse_chain(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;
        const VhostUserRequest request = describe(vd, chain);

        refuse(vd, queue, chain->head, &request);
}

static void forget_all(VhostUserDevice *vd) {
        memset(vd->requests, 0, vd->n_queues * vd->queue_size * sizeof(*vd->requests));
        vd->n_pending = 0;
        vd->full_queues = 0;
        vhost_user_forget(vd->vhost);
}

static void end_reset(VhostUserDevice *vd) {
        vd->resetting = false;
        forget_all(vd);
        virtio_device_reset_done(&vd->dev);
}

/* Lock held, not suspended, the process is lost. What it had, and what waits for room in its rings. */
static void refuse_all(VhostUserDevice *vd) {
        if (vd->resetting) {
                end_reset(vd);
                return;
        }
        for (unsigned i = 0; i < vd->n_queues; i++) {
                for (unsigned head = 0; head < vd->queue_size; head++) {
                        const VhostUserRequest *request = request_of(vd, i, (uint16_t) head);

                        if (request->pending)
                                refuse(vd, i, (uint16_t) head, request);
                }
                if (vd->dev.running) {
                        virtio_device_interrupt(&vd->dev, i);
                        virtio_device_kick(&vd->dev, i);
                }
        }
        forget_all(vd);
}

/* Lock held. */
static void lose(VhostUserDevice *vd, const char *cause) {
        bool was_busy = virtio_vhost_user_busy(&vd->dev);

        log_error("%s: the process that serves it is lost: %s", vd->name, cause);
        vd->lost = true;
        vd->started = vd->stopping = false;
        vd->started_queues = 0;
        if (vd->kind->lost)
                vd->kind->lost(vd);
        if (!vd->suspended)
                refuse_all(vd);
        else if (was_busy)
                virtio_device_rested(&vd->dev);
}

/* ---- start and stop ---- */

static int start_queue(VhostUserDevice *vd, unsigned queue) {
        int r = vhost_user_start(vd->vhost, queue);

        if (r < 0)
                return r;
        vd->started_queues |= UINT32_C(1) << queue;
        vhost_user_kick(vd->vhost, queue);   /* what is offered again */
        virtio_device_kick(&vd->dev, queue); /* what the driver offered meanwhile */
        return 0;
}

static int start(VhostUserDevice *vd) {
        int r = vhost_user_set_features(vd->vhost, vd->dev.accepted);

        vd->started = true;
        for (unsigned i = 0; i < vd->n_queues && r == 0; i++)
                if (vd->dev.queues[i].enabled)
                        r = start_queue(vd, i);
        return r;
}

static void ended(VhostUserDevice *vd);

static int stop(VhostUserDevice *vd) {
        int r = vhost_user_stop(vd->vhost);

        if (r < 0)
                return r;
        vd->started = false;
        vd->started_queues = 0;
        vd->stopping = r == 0;
        if (!vd->stopping)
                ended(vd);
        return 0;
}

/* Lock held, on the loop: have the process do what the driver and the machine want now. */
static void update(VhostUserDevice *vd) {
        bool wanted = vd->dev.running && !vd->suspended;
        int r = 0;

        if (vd->lost || vd->stopping)
                return;
        if (!vd->started && wanted)
                r = start(vd);
        else if (vd->started && !wanted && !(vd->kind->ends && vd->n_pending > 0))
                r = stop(vd);
        if (r < 0)
                lose(vd, "it does not read its messages");
}

/* The process has let go of the guest's buffers. */
static void ended(VhostUserDevice *vd) {
        vd->stopping = false;
        if (vd->resetting)
                end_reset(vd);
        else if (vd->suspended)
                virtio_device_rested(&vd->dev);
}

/* ---- the end of requests ---- */

static void complete_all(VhostUserDevice *vd, unsigned queue) {
        VhostUserDone done;
        int r;

        while ((r = vhost_user_take(vd->vhost, queue, &done)) == 0) {
                vd->n_pending--;
                request_of(vd, queue, done.tag)->pending = false;
                if (!vd->resetting)
                        virtq_push(vd->dev.queues + queue, done.tag, done.written);
        }
        if (r < 0)
                lose(vd, "it ended a request that it was not given");
        else if (vd->dev.running)
                virtio_device_interrupt(&vd->dev, queue);
}

static void on_completed(void *userdata, unsigned queue) {
        VhostUserDevice *vd = userdata;
        uint32_t bit = UINT32_C(1) << queue;

        virtio_device_lock(&vd->dev);
        if (!vd->lost && queue < vd->n_queues)
                complete_all(vd, queue);
        if (vd->dev.running && (vd->full_queues & bit))
                virtio_device_kick(&vd->dev, queue);
        vd->full_queues &= ~bit;
        update(vd);
        virtio_device_unlock(&vd->dev);
}

static void on_stopped(void *userdata) {
        VhostUserDevice *vd = userdata;

        virtio_device_lock(&vd->dev);
        for (unsigned i = 0; i < vd->n_queues && !vd->lost; i++)
                complete_all(vd, i);
        if (!vd->lost) {
                ended(vd);
                update(vd);
        }
        virtio_device_unlock(&vd->dev);
}

static void on_gone(void *userdata, const char *cause) {
        VhostUserDevice *vd = userdata;

        virtio_device_lock(&vd->dev);
        lose(vd, cause);
        virtio_device_unlock(&vd->dev);
}

/* ---- their start ---- */

/* Return: whether the next one may be taken. */
static bool submit(VhostUserDevice *vd, unsigned queue, const VirtqChain *chain) {
        int r = vhost_user_submit(vd->vhost, queue, (uint16_t) chain->head, chain->iov,
                                  chain->n_out, chain->n_in);

        if (r == VHOST_USER_E_FULL) {
                virtq_unpop(vd->dev.queues + queue, chain->head);
                vd->full_queues |= UINT32_C(1) << queue;
                return false;
        }
        if (r < 0)
                refuse_chain(&vd->dev, queue, chain);
        else {
                vd->n_pending++;
                *request_of(vd, queue, chain->head) = describe(vd, chain);
        }
        return true;
}

static void take_requests(VhostUserDevice *vd, unsigned queue) {
        VirtQueue *q = vd->dev.queues + queue;
        unsigned budget = q->size;
        VirtqChain chain;

        for (; budget > 0; budget--) {
                int r = virtio_device_pop(&vd->dev, queue, &chain);

                if (r == VIRTQ_E_EMPTY && virtq_want_notify(q))
                        continue;
                if (r != 0 || !submit(vd, queue, &chain))
                        break;
        }
        vhost_user_kick(vd->vhost, queue);
        if (budget == 0)
                virtio_device_kick(&vd->dev, queue);
        virtio_device_interrupt(&vd->dev, queue);
}

void virtio_vhost_user_notify(VirtioDevice *dev, unsigned queue) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;

        if (queue >= vd->n_queues)
                return;
        update(vd);
        if (vd->started && !(vd->started_queues & UINT32_C(1) << queue) &&
            start_queue(vd, queue) < 0)
                lose(vd, "it does not read its messages");
        if (vd->lost)
                virtio_device_drain(dev, queue, refuse_chain);
        else if (vd->started)
                take_requests(vd, queue);
}

/* ---- configuration ---- */

static void adapt_config(VhostUserDevice *vd) {
        size_t len;
        const uint8_t *config = vhost_user_config(vd->vhost, &len);

        memcpy(vd->config, config, len);
        if (vd->kind->adapt)
                vd->kind->adapt(vd);
}

static void on_config_changed(void *userdata) {
        uint8_t old[VHOST_USER_CONFIG_MAX];
        VhostUserDevice *vd = userdata;

        virtio_device_lock(&vd->dev);
        memcpy(old, vd->config, sizeof(old));
        if (!vd->config_written) /* else this is from before it, and there will be another */
                adapt_config(vd);
        if (memcmp(old, vd->config, vd->kind->config_len) != 0)
                virtio_device_config_changed(&vd->dev);
        virtio_device_unlock(&vd->dev);
}

/** virtio_vhost_user_config_write() - VirtioOps.config_write: the process is told on the loop */
void virtio_vhost_user_config_write(VirtioDevice *dev, uint64_t offset, unsigned size,
                                    uint64_t value) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;
        const VhostUserKind *kind = vd->kind;

        if (!(dev->accepted & dev->offered & kind->write_feature) || offset < kind->write_offset ||
            size > kind->write_len || offset - kind->write_offset > kind->write_len - size)
                return;
        for (unsigned i = 0; i < size; i++)
                vd->config[offset + i] = (uint8_t) (value >> 8 * i);
        vd->config_written = true;
        (void) eventfd_write(vd->wake_fd, 1); /* fails only when one is pending already */
}

static void tell_config(VhostUserDevice *vd) {
        const VhostUserKind *kind = vd->kind;

        vd->config_written = false;
        if (vhost_user_write_config(vd->vhost, kind->write_offset, vd->config + kind->write_offset,
                                    kind->write_len) < 0)
                lose(vd, "it does not read its messages");
}

/* ---- reset, suspend, end ---- */

/* The process is asked to stop on the loop. */
int virtio_vhost_user_reset(VirtioDevice *dev) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;

        if (!vd->started && !vd->stopping) {
                forget_all(vd); /* nobody else uses the rings now */
                return 0;
        }
        vd->resetting = true;
        (void) eventfd_write(vd->wake_fd, 1);
        return VIRTIO_E_PENDING;
}

static void woken(void *userdata, int fd, uint32_t events) {
        VhostUserDevice *vd = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        virtio_device_lock(&vd->dev);
        if (vd->config_written && !vd->lost)
                tell_config(vd);
        update(vd);
        virtio_device_unlock(&vd->dev);
}

/** virtio_vhost_user_suspend() - VirtioOps.suspend: stop the process; busy until it has ended its requests */
void virtio_vhost_user_suspend(VirtioDevice *dev) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;

        vd->suspended = true;
        update(vd);
}

/** virtio_vhost_user_resume() - VirtioOps.resume: let the process serve again */
void virtio_vhost_user_resume(VirtioDevice *dev) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;

        vd->suspended = false;
        if (vd->lost) /* maybe meanwhile */
                refuse_all(vd);
        update(vd);
}

/** virtio_vhost_user_busy() - VirtioOps.busy: whether the process still serves */
bool virtio_vhost_user_busy(const VirtioDevice *dev) {
        const VhostUserDevice *vd = (const VhostUserDevice *) dev;

        return vd->started || vd->stopping;
}

/** virtio_vhost_user_free() - VirtioOps.free: release the device. Return: NULL. */
VirtioDevice *virtio_vhost_user_free(VirtioDevice *dev) {
        VhostUserDevice *vd = (VhostUserDevice *) dev;

        (void) vhost_user_free(vd->vhost);
        (void) loop_remove(vd->wake);
        (void) fd_close(vd->wake_fd);
        free(vd->name);
        free(vd);
        return NULL;
}

/* ---- making ---- */

static int connect_consume(int fd, const VhostUserKind *kind, const VirtioVhostUserConfig *config,
                           VhostUser **ret, TextError *reterr) {
        const unsigned most =
                kind->queue_per_vcpu ? MIN(kind->max_queues, config->n_vcpus) : kind->max_queues;
        const VhostUserConfig wanted = {
                .mem = config->mem,
                .loop = config->loop,
                .features = kind->features,
                .min_queues = kind->min_queues,
                .max_queues = MAX(most, kind->min_queues),
                .ring_size = (uint16_t) config->queue_size,
                .config_len = kind->config_len,
        };
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        size_t len;
        int r;

        r = vhost_user_new_consume(fd, &wanted, &vhost, reterr);
        if (r < 0)
                return r;
        (void) vhost_user_config(vhost, &len);
        if (kind->needs_config && len == 0)
                return text_error_set(reterr, -EPROTO,
                                      "it does not tell the configuration of a %s device",
                                      kind->ops.name);
        *ret = TAKE(vhost);
        return 0;
}

static void describe_device(VhostUserDevice *vd) {
        const VhostUserKind *kind = vd->kind;
        VirtioDevice *dev = &vd->dev;
        size_t config_len;

        (void) vhost_user_config(vd->vhost, &config_len);
        dev->ops = &kind->ops;
        dev->offered = vhost_user_features(vd->vhost);
        if (config_len == 0)
                dev->offered &= ~kind->config_features;
        dev->config = vd->config;
        dev->config_len = kind->config_len;
        vd->n_queues =
                kind->count_queues ? kind->count_queues(vd->vhost) : vhost_user_queues(vd->vhost);
        dev->n_queues = vd->n_queues + kind->own_queues;
        for (unsigned i = 0; i < dev->n_queues; i++)
                dev->queue_size_max[i] = (uint16_t) vd->queue_size;
        adapt_config(vd);
}

/**
 * virtio_vhost_user_new_consume() - a device that the process at the other end of @fd serves
 * @fd:      consumed, on failure too; a connected stream socket
 * @config:  copied, but for what it points to
 *
 * Waits for the process, five seconds at most. Return: 0; -EPROTO, -ETIMEDOUT and other negative errno with a sentence.
 */
int virtio_vhost_user_new_consume(int fd, const VirtioVhostUserConfig *config, VirtioDevice **ret,
                                  TextError *reterr) {
        const VhostUserKind *kind = virtio_vhost_user_kind(config->type);
        const unsigned queue_size = config->queue_size ?: QUEUE_SIZE_DEFAULT;
        _cleanup_(virtio_device_freep) VirtioDevice *dev = NULL;
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        VhostUserDevice *vd;
        int r;

        assert(kind);

        r = connect_consume(fd, kind, config, &vhost, reterr);
        if (r < 0)
                return r;
        vd = calloc(1, sizeof(*vd) + vhost_user_queues(vhost) * queue_size * sizeof(*vd->requests));
        if (!vd)
                return -ENOMEM;
        dev = &vd->dev;
        vd->wake_fd = -EBADF;
        vd->kind = kind;
        vd->queue_size = queue_size;
        vd->vhost = TAKE(vhost);
        describe_device(vd);
        vd->name = strdup(config->name);
        if (!vd->name)
                return -ENOMEM;
        vd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (vd->wake_fd < 0)
                return -errno;
        r = loop_add_fd(config->loop, vd->wake_fd, EPOLLIN, woken, vd, &vd->wake);
        if (r < 0)
                return r;
        vhost_user_set_handler(vd->vhost, &(VhostUserHandler){.completed = on_completed,
                                                              .stopped = on_stopped,
                                                              .config_changed = on_config_changed,
                                                              .gone = on_gone,
                                                              .userdata = vd});
        *ret = TAKE(dev);
        return 0;
}
