/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_vhost_fake.h"

#include <assert.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "vmm/vhost_user/message.h"

#define FLAGS_REPLY 5u                 /* version 1, an answer */
#define FEATURES UINT64_C(0x140000000) /* protocol features, virtio 1 */
#define PROTOCOL_MQ 1u
#define QUEUES 2u
#define MESSAGE_MAX (VHOST_HEADER_LEN + VHOST_PAYLOAD_MAX)

static void answer(int fd, VhostRequest request, uint64_t value) {
        uint8_t message[VHOST_HEADER_LEN + 8];
        ssize_t n;

        le32_store(message, request);
        le32_store(message + 4, FLAGS_REPLY);
        le32_store(message + 8, 8);
        le64_store(message + VHOST_HEADER_LEN, value);
        n = send(fd, message, sizeof(message), MSG_NOSIGNAL);
        assert(n == sizeof(message));
}

/** fake_vhost_connect() - the answers are given. Return: the frontend's end of the socket, the caller's. */
int fake_vhost_connect(FakeVhost *fake) {
        int fds[2], r;

        *fake = (FakeVhost){0};
        for (unsigned i = 0; i < VHOST_USER_QUEUES_MAX; i++)
                fake->calls[i] = fake->kicks[i] = -EBADF;
        r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
        assert(r == 0);
        fake->fd = fds[1];
        answer(fake->fd, VHOST_GET_FEATURES, FEATURES);
        answer(fake->fd, VHOST_GET_PROTOCOL_FEATURES, PROTOCOL_MQ);
        answer(fake->fd, VHOST_GET_QUEUE_NUM, QUEUES);
        answer(fake->fd, VHOST_GET_FEATURES, FEATURES);
        return fds[0];
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

/** fake_vhost_meet() - learn what the frontend told; after vhost_user_new_consume() */
void fake_vhost_meet(FakeVhost *fake) {
        uint8_t buf[MESSAGE_MAX];
        int fds[VHOST_FDS_MAX], n;

        while ((n = receive(fake->fd, buf, fds)) >= 0) {
                const unsigned queue = buf[VHOST_HEADER_LEN];
                const uint32_t request = le32_load(buf);

                if (request == VHOST_SET_VRING_CALL)
                        fake->calls[queue] = fds[--n];
                else if (request == VHOST_SET_VRING_KICK)
                        fake->kicks[queue] = fds[--n];
                else if (request == VHOST_SET_MEM_TABLE) /* the rings come last */
                        fake->rings = mmap(NULL, QUEUES * VHOST_RING_BYTES, PROT_READ | PROT_WRITE,
                                           MAP_SHARED, fds[n - 1], 0);
                while (n > 0)
                        (void) fd_close(fds[--n]);
        }
        assert(fake->rings && fake->rings != MAP_FAILED && fake->calls[0] >= 0 &&
               fake->kicks[0] >= 0);
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
                if (poll(&kick, 1, 10000) != 1)
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
}

/** fake_vhost_deinit() - release all */
void fake_vhost_deinit(FakeVhost *fake) {
        if (fake->rings)
                (void) munmap(fake->rings, QUEUES * VHOST_RING_BYTES);
        for (unsigned i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
                (void) fd_close(fake->calls[i]);
                (void) fd_close(fake->kicks[i]);
        }
        (void) fd_close(fake->fd);
}
