/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vhost_user/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "vmm/vhost_user/message.h"
#include "vmm/vhost_user/ring.h"

#define HANDSHAKE_NSEC UINT64_C(5000000000)

#define F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define F_VERSION_1 (UINT64_C(1) << 32)

#define PROTOCOL_F_MQ (UINT64_C(1) << 0)

#define MEM_TABLE_HEADER 8u
#define MEM_REGION_LEN 32u

/* Guest physical address that the rings are told to have, where no guest can have memory. */
#define RINGS_GPA (UINT64_C(1) << 56)

typedef struct VhostQueue {
        VhostUser *vhost; /* owner */
        unsigned index;
        int kick_fd, call_fd; /* owned eventfds */
        LoopSource *source;   /* owned, of @call_fd */
        VhostRing ring;
} VhostQueue;

struct VhostUser {
        int fd; /* owned socket */
        Loop *loop;
        const GuestMem *mem;
        LoopSource *source; /* owned */
        uint64_t deadline_nsec;
        VhostUserHandler handler;
        bool gone;
        bool enables;   /* queues are enabled by a message of their own */
        int rings_fd;   /* owned memfd */
        uint8_t *rings; /* owned mapping of @n_queues rings */
        unsigned n_queues;
        VhostQueue queues[]; /* @n_queues */
};

static size_t rings_bytes(const VhostUser *vhost) {
        return (size_t) vhost->n_queues * VHOST_RING_BYTES;
}

/* ---- what comes from the process ---- */

static void hang_up(VhostUser *vhost) {
        vhost->gone = true;
        vhost->source = loop_remove(vhost->source);
        for (unsigned i = 0; i < vhost->n_queues; i++)
                vhost->queues[i].source = loop_remove(vhost->queues[i].source);
        vhost->fd = fd_close(vhost->fd);
}

/* After the handshake nobody was asked anything, so that whatever comes is the end or a mistake. */
static void on_socket(void *userdata, int fd, uint32_t events) {
        VhostUser *vhost = userdata;

        hang_up(vhost);
        if (vhost->handler.gone)
                vhost->handler.gone(vhost->handler.userdata,
                                    (events & EPOLLIN) && !(events & (EPOLLHUP | EPOLLRDHUP))
                                            ? "it sent a message that was not asked for"
                                            : "it closed the connection");
}

static void on_call(void *userdata, int fd, uint32_t events) {
        VhostQueue *queue = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        if (queue->vhost->handler.completed)
                queue->vhost->handler.completed(queue->vhost->handler.userdata, queue->index);
}

/* ---- handshake ---- */

static int ask_u64(VhostUser *vhost, VhostRequest request, uint64_t *ret) {
        uint8_t payload[8];
        int r;

        r = vhost_message_send(vhost->fd, request, NULL, 0, NULL, 0);
        if (r < 0)
                return r;
        r = vhost_message_receive(vhost->fd, request, payload, sizeof(payload),
                                  vhost->deadline_nsec);
        if (r < 0)
                return r;
        *ret = le64_load(payload);
        return 0;
}

static int tell_u64(VhostUser *vhost, VhostRequest request, uint64_t value) {
        uint8_t payload[8];

        le64_store(payload, value);
        return vhost_message_send(vhost->fd, request, payload, sizeof(payload), NULL, 0);
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

static int agree_features(VhostUser *vhost, TextError *reterr) {
        uint64_t features, protocol = 0, n_queues = vhost->n_queues;
        int r;

        r = ask_u64(vhost, VHOST_GET_FEATURES, &features);
        if (r < 0)
                return r;
        if (!(features & F_VERSION_1))
                return text_error_set(reterr, -EPROTO, "it does not speak virtio 1");
        r = vhost_message_send(vhost->fd, VHOST_SET_OWNER, NULL, 0, NULL, 0);
        if (r == 0 && (features & F_PROTOCOL_FEATURES)) {
                r = ask_u64(vhost, VHOST_GET_PROTOCOL_FEATURES, &protocol);
                if (r == 0)
                        r = tell_u64(vhost, VHOST_SET_PROTOCOL_FEATURES, protocol & PROTOCOL_F_MQ);
                if (r == 0 && (protocol & PROTOCOL_F_MQ))
                        r = ask_u64(vhost, VHOST_GET_QUEUE_NUM, &n_queues);
        }
        if (r < 0)
                return r;
        if (n_queues < vhost->n_queues)
                return text_error_set(reterr, -EPROTO, "it has %llu queues, not %u",
                                      (unsigned long long) n_queues, vhost->n_queues);
        vhost->enables = features & F_PROTOCOL_FEATURES;
        return tell_u64(vhost, VHOST_SET_FEATURES, features & (F_VERSION_1 | F_PROTOCOL_FEATURES));
}

static void put_region(uint8_t *p, gpa_t gpa, uint64_t size, const void *host, uint64_t offset) {
        le64_store(p, gpa);
        le64_store(p + 8, size);
        le64_store(p + 16, (uint64_t) (uintptr_t) host);
        le64_store(p + 24, offset);
}

/* RAM and the rings, each a part of a memfd. */
static int tell_memory(VhostUser *vhost) {
        uint8_t table[MEM_TABLE_HEADER + MEM_REGION_LEN * (GUEST_MEM_REGIONS_MAX + 1)] = {0};
        const GuestMem *mem = vhost->mem;
        int fds[GUEST_MEM_REGIONS_MAX + 1];
        unsigned n = mem->n_regions;
        uint8_t *p = table + MEM_TABLE_HEADER;

        for (unsigned i = 0; i < n; i++, p += MEM_REGION_LEN) {
                const GuestRegion *region = &mem->regions[i];

                put_region(p, region->gpa, region->size_bytes, region->host, region->file_offset);
                fds[i] = mem->fd;
        }
        put_region(p, RINGS_GPA, rings_bytes(vhost), vhost->rings, 0);
        fds[n] = vhost->rings_fd;
        le32_store(table, n + 1);
        return vhost_message_send(vhost->fd, VHOST_SET_MEM_TABLE, table,
                                  MEM_TABLE_HEADER + MEM_REGION_LEN * (n + 1), fds, n + 1);
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

static int tell_queue(VhostUser *vhost, const VhostQueue *queue) {
        unsigned i = queue->index;
        int r;

        r = tell_vring(vhost, VHOST_SET_VRING_NUM, i, VHOST_USER_RING_SIZE);
        if (r == 0)
                r = tell_vring(vhost, VHOST_SET_VRING_BASE, i, 0);
        if (r == 0)
                r = tell_ring_address(vhost, queue);
        if (r == 0)
                r = tell_vring_fd(vhost, VHOST_SET_VRING_CALL, i, queue->call_fd);
        if (r == 0)
                r = tell_vring_fd(vhost, VHOST_SET_VRING_KICK, i, queue->kick_fd);
        if (r == 0 && vhost->enables)
                r = tell_vring(vhost, VHOST_SET_VRING_ENABLE, i, 1);
        return r;
}

static int shake_hands(VhostUser *vhost, TextError *reterr) {
        uint64_t still_there;
        int r;

        vhost->deadline_nsec = clock_monotonic_nsec() + HANDSHAKE_NSEC;
        r = agree_features(vhost, reterr);
        if (r == 0)
                r = tell_memory(vhost);
        for (unsigned i = 0; i < vhost->n_queues && r == 0; i++)
                r = tell_queue(vhost, &vhost->queues[i]);
        /* What was only told may have been refused; a process that answers once more has taken it. */
        return r < 0 ? r : ask_u64(vhost, VHOST_GET_FEATURES, &still_there);
}

/* ---- making ---- */

static int make_rings(VhostUser *vhost) {
        void *map;

        vhost->rings_fd = memfd_create("vhost_user_rings", MFD_CLOEXEC);
        if (vhost->rings_fd < 0 || ftruncate(vhost->rings_fd, (off_t) rings_bytes(vhost)) < 0)
                return -errno;
        map = mmap(NULL, rings_bytes(vhost), PROT_READ | PROT_WRITE, MAP_SHARED, vhost->rings_fd,
                   0);
        if (map == MAP_FAILED)
                return -errno;
        vhost->rings = map;
        for (unsigned i = 0; i < vhost->n_queues; i++)
                vhost_ring_init(&vhost->queues[i].ring,
                                vhost->rings + (size_t) i * VHOST_RING_BYTES, vhost->mem);
        return 0;
}

static int make_events(VhostUser *vhost) {
        for (unsigned i = 0; i < vhost->n_queues; i++) {
                VhostQueue *queue = &vhost->queues[i];
                int r;

                queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (queue->kick_fd < 0 || queue->call_fd < 0)
                        return -errno;
                r = loop_add_fd(vhost->loop, queue->call_fd, EPOLLIN, on_call, queue,
                                &queue->source);
                if (r < 0)
                        return r;
        }
        return loop_add_fd(vhost->loop, vhost->fd, EPOLLIN | EPOLLRDHUP, on_socket, vhost,
                           &vhost->source);
}

/**
 * vhost_user_new_consume() - agree with the process at the other end of @fd, and start its queues
 * @fd:      consumed, on failure too; a connected stream socket
 * @config:  copied
 *
 * Waits for the process, five seconds at most. Return: 0; -EPROTO, -ETIMEDOUT and other negative errno with a sentence.
 */
int vhost_user_new_consume(int fd, const VhostUserConfig *config, VhostUser **ret,
                           TextError *reterr) {
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        int r;

        assert(config->n_queues >= 1 && config->n_queues <= VHOST_USER_QUEUES_MAX);

        vhost = calloc(1, sizeof(*vhost) + config->n_queues * sizeof(*vhost->queues));
        if (!vhost) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        vhost->fd = fd;
        vhost->rings_fd = -EBADF;
        vhost->loop = config->loop;
        vhost->mem = config->mem;
        vhost->n_queues = config->n_queues;
        for (unsigned i = 0; i < config->n_queues; i++) {
                vhost->queues[i].vhost = vhost;
                vhost->queues[i].index = i;
                vhost->queues[i].kick_fd = vhost->queues[i].call_fd = -EBADF;
        }
        r = make_rings(vhost);
        if (r == 0)
                r = make_events(vhost);
        if (r < 0)
                return r;
        r = shake_hands(vhost, reterr);
        if (r < 0)
                return reterr && reterr->message
                               ? r
                               : text_error_set(reterr, r, "its answers: %s", strerror(-r));
        *ret = TAKE(vhost);
        return 0;
}

/** vhost_user_free() - hang up; requests that are under way are forgotten. Return: NULL. */
VhostUser *vhost_user_free(VhostUser *vhost) {
        if (!vhost)
                return NULL;
        (void) loop_remove(vhost->source);
        for (unsigned i = 0; i < vhost->n_queues; i++) {
                (void) loop_remove(vhost->queues[i].source);
                (void) fd_close(vhost->queues[i].kick_fd);
                (void) fd_close(vhost->queues[i].call_fd);
        }
        if (vhost->rings)
                (void) munmap(vhost->rings, rings_bytes(vhost));
        (void) fd_close(vhost->rings_fd);
        (void) fd_close(vhost->fd);
        free(vhost);
        return NULL;
}

/** vhost_user_set_handler() - who is told; before the loop runs */
void vhost_user_set_handler(VhostUser *vhost, const VhostUserHandler *handler) {
        vhost->handler = *handler;
}

/* ---- requests ---- */

/**
 * vhost_user_submit() - put a request into the ring of @queue; vhost_user_kick() makes it known
 * @tag:  comes back with the request
 * @iov:  @n_out buffers to read, then @n_in to write, all in guest memory
 *
 * Return: 0; VHOST_USER_E_FULL until some have ended; -EINVAL for no buffers; -EPIPE when the process is gone.
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
                hang_up(vhost);
        return r;
}
