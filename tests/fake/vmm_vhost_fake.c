/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_vhost_fake.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_wait.h"
#include "vmm/vhost_user/message.h"

#define FEATURES UINT64_C(0x140000000) /* protocol features, virtio 1 */
#define PROTOCOL_MQ 1u
#define PROTOCOL_BACK_CHANNEL 0x20u
#define PROTOCOL_CONFIG 0x200u
#define MESSAGE_MAX (VHOST_HEADER_LEN + VHOST_PAYLOAD_MAX)
#define WAIT_MSEC (FAKE_WAIT_SECONDS * 1000)

/** fake_vhost_say() - one message of the process's, on any of its sockets */
void fake_vhost_say(int fd, uint32_t request, uint32_t flags, const void *payload, size_t len) {
        uint8_t message[MESSAGE_MAX];
        ssize_t n;

        le32_store(message, request);
        le32_store(message + 4, flags);
        le32_store(message + 8, (uint32_t) len);
        if (len > 0)
                memcpy(message + VHOST_HEADER_LEN, payload, len);
        n = send(fd, message, VHOST_HEADER_LEN + len, MSG_NOSIGNAL);
        assert(n == (ssize_t) (VHOST_HEADER_LEN + len));
}

static void answer(const FakeVhost *fake, VhostRequest request, uint64_t value) {
        uint8_t payload[8];

        le64_store(payload, value);
        fake_vhost_say(fake->fd, request, FAKE_VHOST_REPLY, payload, sizeof(payload));
}

/** fake_vhost_tell_config() - the answer to GET_CONFIG */
void fake_vhost_tell_config(FakeVhost *fake, const uint8_t *config, size_t len) {
        uint8_t payload[VHOST_CONFIG_HEADER_LEN + VHOST_USER_CONFIG_MAX] = {0};

        le32_store(payload + 4, (uint32_t) len);
        memcpy(payload + VHOST_CONFIG_HEADER_LEN, config, len);
        fake_vhost_say(fake->fd, VHOST_GET_CONFIG, FAKE_VHOST_REPLY, payload,
                       VHOST_CONFIG_HEADER_LEN + len);
}

/** fake_vhost_stopped() - the answer to GET_VRING_BASE */
void fake_vhost_stopped(FakeVhost *fake, unsigned queue) {
        uint8_t payload[8];

        le32_store(payload, queue);
        le32_store(payload + 4, fake->taken[queue]);
        fake_vhost_say(fake->fd, VHOST_GET_VRING_BASE, FAKE_VHOST_REPLY, payload, sizeof(payload));
}

/** fake_vhost_init() - nobody is there yet */
void fake_vhost_init(FakeVhost *fake) {
        *fake = (FakeVhost){.fd = -EBADF, .back_fd = -EBADF};
        for (unsigned i = 0; i < VHOST_USER_QUEUES_MAX; i++)
                fake->calls[i] = fake->kicks[i] = -EBADF;
}

/** fake_vhost_connect_as() - the answers are given. Return: the frontend's end of the socket, the caller's. */
int fake_vhost_connect_as(FakeVhost *fake, const FakeVhostOptions *options) {
        const uint64_t features = options->features | FEATURES;
        int fds[2], r;

        fake_vhost_init(fake);
        fake->n_queues = options->n_queues;
        r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
        assert(r == 0);
        fake->fd = fds[1];
        answer(fake, VHOST_GET_FEATURES, features);
        answer(fake, VHOST_GET_PROTOCOL_FEATURES,
               PROTOCOL_MQ |
                       (options->config_len > 0 ? PROTOCOL_CONFIG | PROTOCOL_BACK_CHANNEL : 0));
        answer(fake, VHOST_GET_QUEUE_NUM, options->n_queues);
        if (options->config_len > 0)
                fake_vhost_tell_config(fake, options->config, options->config_len);
        answer(fake, VHOST_GET_FEATURES, features);
        return fds[0];
}

/** fake_vhost_connect() - the same for a folder's process */
int fake_vhost_connect(FakeVhost *fake) {
        return fake_vhost_connect_as(fake, &(FakeVhostOptions){.n_queues = 2});
}

/* One message of the frontend's. Return: how many descriptors came with it; negative when there is none. */
static int receive(int fd, uint8_t *buf, int *fds) {
        union {
                char bytes[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control = {0};
        struct iovec iov = {.iov_base = buf, .iov_len = VHOST_HEADER_LEN};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        struct cmsghdr *c;
        size_t len;
        ssize_t n;

        if (recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != VHOST_HEADER_LEN)
                return -1;
        n = recv(fd, buf + VHOST_HEADER_LEN, le32_load(buf + 8), MSG_DONTWAIT);
        assert(le32_load(buf + 8) == 0 || n == (ssize_t) le32_load(buf + 8));
        c = CMSG_FIRSTHDR(&message);
        if (!c)
                return 0;
        len = c->cmsg_len - CMSG_LEN(0);
        memcpy(fds, CMSG_DATA(c), len);
        return (int) (len / sizeof(int));
}

static void keep_fd(int *place, int fd) {
        (void) fd_close(*place);
        *place = fd;
}

static void map_rings(FakeVhost *fake, int fd) {
        fake->rings = mmap(NULL, fake->n_queues * VHOST_RING_BYTES, PROT_READ | PROT_WRITE,
                           MAP_SHARED, fd, 0);
        assert(fake->rings != MAP_FAILED);
}

/* Learns what one message says. */
static void heed(FakeVhost *fake, const uint8_t *message, int *fds, int n) {
        const uint8_t *payload = message + VHOST_HEADER_LEN;
        const unsigned queue = payload[0] % VHOST_USER_QUEUES_MAX;

        switch (le32_load(message)) {
        case VHOST_SET_FEATURES:
                fake->features = le64_load(payload);
                break;
        case VHOST_SET_CONFIG:
                memcpy(fake->config + le32_load(payload), payload + VHOST_CONFIG_HEADER_LEN,
                       le32_load(payload + 4));
                break;
        case VHOST_SET_BACKEND_REQ_FD:
                keep_fd(&fake->back_fd, fds[--n]);
                break;
        case VHOST_SET_VRING_BASE:
                fake->taken[queue] = fake->ended[queue] = 0;
                break;
        case VHOST_SET_VRING_CALL:
                keep_fd(&fake->calls[queue], fds[--n]);
                break;
        case VHOST_SET_VRING_KICK:
                keep_fd(&fake->kicks[queue], fds[--n]);
                break;
        case VHOST_SET_MEM_TABLE: /* the rings come last */
                map_rings(fake, fds[n - 1]);
                break;
        default:
                break;
        }
        while (n > 0)
                (void) fd_close(fds[--n]);
}

/** fake_vhost_meet() - learn what the frontend has told by now */
void fake_vhost_meet(FakeVhost *fake) {
        uint8_t buf[MESSAGE_MAX];
        int fds[VHOST_FDS_MAX], n;

        while ((n = receive(fake->fd, buf, fds)) >= 0)
                heed(fake, buf, fds, n);
}

/** fake_vhost_await() - learn what the frontend tells, up to a message of @request. Return: whether it came in time. */
bool fake_vhost_await(FakeVhost *fake, VhostRequest request) {
        struct pollfd wait = {.fd = fake->fd, .events = POLLIN};
        uint8_t buf[MESSAGE_MAX];
        int fds[VHOST_FDS_MAX], n;

        while (poll(&wait, 1, WAIT_MSEC) == 1) {
                n = receive(fake->fd, buf, fds);
                if (n < 0)
                        return false;
                heed(fake, buf, fds, n);
                if (le32_load(buf) == request)
                        return true;
        }
        return false;
}

static uint8_t *ring_of(const FakeVhost *fake, unsigned queue) {
        return fake->rings + (size_t) queue * VHOST_RING_BYTES;
}

/** fake_vhost_take() - wait for a request of @queue. Return: whether there was one in time; @ret_head: its descriptor. */
bool fake_vhost_take(FakeVhost *fake, unsigned queue, uint16_t *ret_head) {
        const uint8_t *avail = ring_of(fake, queue) + VHOST_RING_AVAIL;
        struct pollfd kick = {.fd = fake->kicks[queue], .events = POLLIN};
        eventfd_t count;

        while (__atomic_load_n((const uint16_t *) (const void *) (avail + 2), __ATOMIC_ACQUIRE) ==
               fake->taken[queue]) {
                if (poll(&kick, 1, WAIT_MSEC) != 1)
                        return false;
                (void) eventfd_read(kick.fd, &count);
        }
        *ret_head = le16_load(avail + 4 + 2 * (fake->taken[queue]++ % VHOST_USER_RING_SIZE));
        return true;
}

/** fake_vhost_end() - the request at @head has ended, or so it says */
void fake_vhost_end(FakeVhost *fake, unsigned queue, uint32_t head, uint32_t written) {
        uint8_t *used = ring_of(fake, queue) + VHOST_RING_USED;
        uint8_t *entry = used + 4 + 8 * (fake->ended[queue]++ % VHOST_USER_RING_SIZE);

        le32_store(entry, head);
        le32_store(entry + 4, written);
        __atomic_store_n((uint16_t *) (void *) (used + 2), fake->ended[queue], __ATOMIC_RELEASE);
        (void) eventfd_write(fake->calls[queue], 1);
}

/** fake_vhost_hang_up() - the process dies */
void fake_vhost_hang_up(FakeVhost *fake) {
        fake->fd = fd_close(fake->fd);
        fake->back_fd = fd_close(fake->back_fd);
}

/** fake_vhost_deinit() - release all */
void fake_vhost_deinit(FakeVhost *fake) {
        if (fake->rings)
                (void) munmap(fake->rings, fake->n_queues * VHOST_RING_BYTES);
        for (unsigned i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
                (void) fd_close(fake->calls[i]);
                (void) fd_close(fake->kicks[i]);
        }
        (void) fd_close(fake->fd);
        (void) fd_close(fake->back_fd);
}
