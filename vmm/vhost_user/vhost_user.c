/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vhost_user/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/le.h"
#include "vmm/vhost_user/vhost_user_internal.h"

/** vhost_user_rings_bytes() - the size of the memory of all rings */
size_t vhost_user_rings_bytes(const VhostUser *vhost) {
        return (size_t) vhost->n_queues * VHOST_RING_BYTES;
}

/* ---- making ---- */

/**
 * vhost_user_new_consume() - agree with the process at the other end of @fd; no queue is started yet
 * @fd:      consumed, on failure too; a connected stream socket
 * @config:  copied
 *
 * Waits for the process, five seconds at most. Return: 0; -EPROTO, -ETIMEDOUT and other negative errno with a sentence.
 */
int vhost_user_new_consume(int fd, const VhostUserConfig *config, VhostUser **ret,
                           TextError *reterr) {
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        int r;

        assert(config->min_queues >= 1 && config->min_queues <= config->max_queues &&
               config->max_queues <= VHOST_USER_QUEUES_MAX);
        assert(config->ring_size <= VHOST_USER_RING_SIZE &&
               (config->ring_size & (config->ring_size - 1)) == 0);
        assert(config->config_len <= VHOST_USER_CONFIG_MAX);

        vhost = calloc(1, sizeof(*vhost));
        if (!vhost) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        vhost->fd = fd;
        vhost->rings_fd = vhost->back_fd = -EBADF;
        vhost->loop = config->loop;
        vhost->mem = config->mem;
        vhost->ring_size = config->ring_size ?: VHOST_USER_RING_SIZE;
        r = vhost_user_shake_hands(vhost, config, reterr);
        if (r < 0)
                return reterr && reterr->message
                               ? r
                               : text_error_set(reterr, r, "its answers: %s", strerror(-r));
        r = vhost_user_listen(vhost);
        if (r < 0)
                return r;
        *ret = TAKE(vhost);
        return 0;
}

/** vhost_user_free() - hang up; requests that are under way are forgotten. Return: NULL. */
VhostUser *vhost_user_free(VhostUser *vhost) {
        if (!vhost)
                return NULL;
        vhost_user_hang_up(vhost);
        for (unsigned i = 0; i < vhost->n_queues; i++) {
                (void) fd_close(vhost->queues[i].kick_fd);
                (void) fd_close(vhost->queues[i].call_fd);
        }
        if (vhost->rings)
                (void) munmap(vhost->rings, vhost_user_rings_bytes(vhost));
        (void) fd_close(vhost->rings_fd);
        free(vhost);
        return NULL;
}

/** vhost_user_set_handler() - who is told; before the loop runs */
void vhost_user_set_handler(VhostUser *vhost, const VhostUserHandler *handler) {
        vhost->handler = *handler;
}

/* ---- what was agreed ---- */

/** vhost_user_features() - those of VhostUserConfig that the process has */
uint64_t vhost_user_features(const VhostUser *vhost) {
        return vhost->features;
}

/** vhost_user_queues() - how many there are: as many as the process has, within the bounds of VhostUserConfig */
unsigned vhost_user_queues(const VhostUser *vhost) {
        return vhost->n_queues;
}

/** vhost_user_ring_size() - descriptors of each queue: the most buffers that a request may have */
unsigned vhost_user_ring_size(const VhostUser *vhost) {
        return vhost->ring_size;
}

/**
 * vhost_user_config() - the device's configuration as the process told it last
 * @ret_len:  as in VhostUserConfig, or 0 when the process tells none
 */
const uint8_t *vhost_user_config(const VhostUser *vhost, size_t *ret_len) {
        *ret_len = vhost->config_len;
        return vhost->config;
}

/**
 * vhost_user_write_config() - tell the process what the driver wrote; config_changed() follows with what came of it
 * @offset:  with @len inside the configuration
 *
 * Return: 0; -EPIPE when the process is gone; other negative errno when it is to be given up.
 */
int vhost_user_write_config(VhostUser *vhost, size_t offset, const void *data, size_t len) {
        uint8_t payload[VHOST_CONFIG_HEADER_LEN + VHOST_USER_CONFIG_MAX] = {0};
        int r;

        assert(offset <= vhost->config_len && len <= vhost->config_len - offset);

        if (vhost->gone)
                return -EPIPE;
        le32_store(payload, (uint32_t) offset);
        le32_store(payload + 4, (uint32_t) len);
        memcpy(payload + VHOST_CONFIG_HEADER_LEN, data, len);
        r = vhost_message_send(vhost->fd, VHOST_SET_CONFIG, payload, VHOST_CONFIG_HEADER_LEN + len,
                               NULL, 0);
        return r < 0 ? r : vhost_user_ask_config(vhost);
}

/* ---- queues ---- */

/**
 * vhost_user_set_features() - what the driver has accepted; while no queue is started
 * @features:  the device type's; what the process does not have is left out
 *
 * Return: 0; -EPIPE when the process is gone; other negative errno when it is to be given up.
 */
int vhost_user_set_features(VhostUser *vhost, uint64_t features) {
        uint8_t payload[8];

        if (vhost->gone)
                return -EPIPE;
        le64_store(payload, (features & vhost->features) | VHOST_F_VERSION_1 |
                                    (vhost->enables ? VHOST_F_PROTOCOL_FEATURES : 0));
        return vhost_message_send(vhost->fd, VHOST_SET_FEATURES, payload, sizeof(payload), NULL, 0);
}

static int tell_vring(VhostUser *vhost, VhostRequest request, unsigned queue, uint32_t value) {
        uint8_t payload[8];

        le32_store(payload, queue);
        le32_store(payload + 4, value);
        return vhost_message_send(vhost->fd, request, payload, sizeof(payload), NULL, 0);
}

static int tell_vring_fd(VhostUser *vhost, VhostRequest request, unsigned queue, int fd) {
        uint8_t payload[8];

        le64_store(payload, queue);
        return vhost_message_send(vhost->fd, request, payload, sizeof(payload), &fd, 1);
}

static int tell_ring_address(VhostUser *vhost, const VhostQueue *queue) {
        const uint8_t *shared = queue->ring.shared;
        uint8_t payload[40] = {0};

        le32_store(payload, queue->index);
        le64_store(payload + 8, (uint64_t) (uintptr_t) (shared + VHOST_RING_DESC));
        le64_store(payload + 16, (uint64_t) (uintptr_t) (shared + VHOST_RING_USED));
        le64_store(payload + 24, (uint64_t) (uintptr_t) (shared + VHOST_RING_AVAIL));
        return vhost_message_send(vhost->fd, VHOST_SET_VRING_ADDR, payload, sizeof(payload), NULL,
                                  0);
}

/** vhost_user_forget() - as if nothing had been submitted; while no queue is started */
void vhost_user_forget(VhostUser *vhost) {
        for (unsigned i = 0; i < vhost->n_queues; i++) {
                VhostRing *ring = &vhost->queues[i].ring;

                vhost_ring_init(ring, ring->shared, vhost->ring_size, vhost->mem);
        }
}

/**
 * vhost_user_start() - have the process serve @queue: what was submitted and has not ended, then what comes
 *
 * Return: 0; -EPIPE when the process is gone; other negative errno when it is to be given up.
 */
int vhost_user_start(VhostUser *vhost, unsigned queue) {
        VhostQueue *q = &vhost->queues[queue];
        int r;

        assert(queue < vhost->n_queues && !q->started);

        if (vhost->gone)
                return -EPIPE;
        vhost_ring_rewind(&q->ring);
        r = tell_vring(vhost, VHOST_SET_VRING_NUM, queue, vhost->ring_size);
        if (r == 0)
                r = tell_vring(vhost, VHOST_SET_VRING_BASE, queue, 0);
        if (r == 0)
                r = tell_ring_address(vhost, q);
        if (r == 0)
                r = tell_vring_fd(vhost, VHOST_SET_VRING_CALL, queue, q->call_fd);
        if (r == 0)
                r = tell_vring_fd(vhost, VHOST_SET_VRING_KICK, queue, q->kick_fd);
        if (r == 0 && vhost->enables)
                r = tell_vring(vhost, VHOST_SET_VRING_ENABLE, queue, 1);
        if (r == 0)
                q->started = true;
        return r;
}

/**
 * vhost_user_stop() - end all queues; stopped() tells when the process has let go of the guest's buffers
 *
 * What ended before that can still be taken.
 * Return: 0; VHOST_USER_E_NONE when no queue is started, and stopped() is not called; -EPIPE when the process is gone;
 * other negative errno when it is to be given up.
 */
int vhost_user_stop(VhostUser *vhost) {
        if (vhost->gone)
                return -EPIPE;
        assert(vhost->n_stopping == 0);

        for (unsigned i = 0; i < vhost->n_queues; i++) {
                const VhostQuestion question = {.request = VHOST_GET_VRING_BASE, .queue = i};
                uint8_t payload[8] = {0};
                int r;

                if (!vhost->queues[i].started)
                        continue;
                le32_store(payload, i);
                r = vhost_user_ask(vhost, &question, payload, sizeof(payload));
                if (r < 0)
                        return r;
                vhost->queues[i].started = false;
                vhost->n_stopping++;
        }
        return vhost->n_stopping > 0 ? 0 : VHOST_USER_E_NONE;
}

/* ---- requests ---- */

/**
 * vhost_user_submit() - put a request into the ring of @queue; vhost_user_kick() makes it known
 * @tag:  comes back with the request
 * @iov:  @n_out buffers to read, then @n_in to write, all in guest memory
 *
 * Return: 0; VHOST_USER_E_FULL until some have ended; -EINVAL for no buffers, more than the ring ever takes, or one
 * outside RAM; -EPIPE when the process is gone.
 */
int vhost_user_submit(VhostUser *vhost, unsigned queue, uint16_t tag, const struct iovec *iov,
                      unsigned n_out, unsigned n_in) {
        if (vhost->gone)
                return -EPIPE;
        return vhost_ring_add(&vhost->queues[queue].ring, tag, iov, n_out, n_in);
}

/** vhost_user_kick() - tell the process that there are requests in @queue */
void vhost_user_kick(VhostUser *vhost, unsigned queue) {
        (void) eventfd_write(vhost->queues[queue].kick_fd, 1); /* fails only when one is pending */
}

/**
 * vhost_user_take() - the next request of @queue that has ended
 *
 * Return: 0; VHOST_USER_E_NONE; -EPROTO when the process claimed nonsense: then it was hung up on.
 */
int vhost_user_take(VhostUser *vhost, unsigned queue, VhostUserDone *ret) {
        int r = vhost->gone ? VHOST_USER_E_NONE : vhost_ring_take(&vhost->queues[queue].ring, ret);

        if (r < 0)
                vhost_user_hang_up(vhost);
        return r;
}
