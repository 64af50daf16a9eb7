/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vhost_user/message.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/le.h"

/*
 * A message is a header of request, flags and payload length, each 32 bits in the machine's own order, which on x86 is
 * little endian; descriptors travel beside its first byte.
 */

#define FLAG_VERSION 0x1u
#define FLAG_VERSION_MASK 0x3u
#define FLAG_REPLY 0x4u

/**
 * vhost_message_send() - one request; never waits
 * @fds: borrowed; at most VHOST_FDS_MAX
 *
 * Return: 0; -EAGAIN when the socket is full, which a process that reads its messages does not let happen; other
 * negative errno.
 */
int vhost_message_send(int fd, VhostRequest request, const void *payload, size_t len,
                       const int *fds, size_t n_fds) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * VHOST_FDS_MAX)] = {0};
        uint8_t bytes[VHOST_HEADER_LEN + VHOST_PAYLOAD_MAX];
        struct iovec iov = {.iov_base = bytes, .iov_len = VHOST_HEADER_LEN + len};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t n;

        assert(len <= VHOST_PAYLOAD_MAX && n_fds <= VHOST_FDS_MAX);

        le32_store(bytes, request);
        le32_store(bytes + 4, FLAG_VERSION);
        le32_store(bytes + 8, (uint32_t) len);
        if (len > 0)
                memcpy(bytes + VHOST_HEADER_LEN, payload, len);
        if (n_fds > 0) {
                struct cmsghdr *cmsg;

                message.msg_control = control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                cmsg = CMSG_FIRSTHDR(&message);
                cmsg->cmsg_level = SOL_SOCKET;
                cmsg->cmsg_type = SCM_RIGHTS;
                cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
        }
        n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return -errno;
        return (size_t) n == iov.iov_len ? 0 : -EAGAIN;
}

/**
 * vhost_message_check_reply() - judge the header of a reply to @request
 * @header:  VHOST_HEADER_LEN bytes
 *
 * Return: 0 and the length of the payload, 0..VHOST_PAYLOAD_MAX; -EPROTO.
 */
int vhost_message_check_reply(const uint8_t *header, VhostRequest request, size_t *ret_len) {
        uint32_t flags = le32_load(header + 4), len = le32_load(header + 8);

        if (le32_load(header) != request || (flags & FLAG_VERSION_MASK) != FLAG_VERSION ||
            !(flags & FLAG_REPLY) || len > VHOST_PAYLOAD_MAX)
                return -EPROTO;
        *ret_len = len;
        return 0;
}

/** vhost_message_is_request() - whether @header is that of a request of the process's, without payload or wish for a reply */
bool vhost_message_is_request(const uint8_t *header, uint32_t request) {
        return le32_load(header) == request && le32_load(header + 4) == FLAG_VERSION &&
               le32_load(header + 8) == 0;
}

/**
 * vhost_inbox_read() - take what has come of a message; never waits
 *
 * The caller clears @inbox->have when it has used the message.
 * Return: 0 when it is complete; VHOST_E_MORE; -EPROTO for one that is too long; -ECONNRESET at the end; other negative
 * errno.
 */
int vhost_inbox_read(VhostInbox *inbox, int fd) {
        for (;;) {
                size_t want = VHOST_HEADER_LEN;
                ssize_t n;

                if (inbox->have >= VHOST_HEADER_LEN) {
                        uint32_t len = le32_load(inbox->bytes + 8);

                        if (len > VHOST_PAYLOAD_MAX)
                                return -EPROTO;
                        want += len;
                        if (inbox->have == want)
                                return 0;
                }
                n = recv(fd, inbox->bytes + inbox->have, want - inbox->have, MSG_DONTWAIT);
                if (n == 0)
                        return -ECONNRESET;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? VHOST_E_MORE : -errno;
                inbox->have += (size_t) n;
        }
}

/* Reads exactly @len bytes. Descriptors that come along are not asked for, so the kernel drops them. */
static int receive_all(int fd, uint8_t *data, size_t len, uint64_t deadline_nsec) {
        while (len > 0) {
                uint64_t now = clock_monotonic_nsec();
                struct pollfd wait = {.fd = fd, .events = POLLIN};
                ssize_t n;

                if (now >= deadline_nsec)
                        return -ETIMEDOUT;
                if (poll(&wait, 1, (int) ((deadline_nsec - now) / 1000000) + 1) < 0 &&
                    errno != EINTR)
                        return -errno;
                n = recv(fd, data, len, MSG_DONTWAIT);
                if (n == 0)
                        return -ECONNRESET;
                if (n < 0) {
                        if (errno == EAGAIN || errno == EINTR)
                                continue;
                        return -errno;
                }
                data += n;
                len -= (size_t) n;
        }
        return 0;
}

/**
 * vhost_message_receive() - wait for the reply to @request, whose payload must have @len bytes
 *
 * Only while a device is made; waits until @deadline_nsec of the monotonic clock at most.
 * Return: 0; -EPROTO for any other message; -ETIMEDOUT; -ECONNRESET; other negative errno.
 */
int vhost_message_receive(int fd, VhostRequest request, void *payload, size_t len,
                          uint64_t deadline_nsec) {
        uint8_t header[VHOST_HEADER_LEN];
        size_t have;
        int r;

        r = receive_all(fd, header, sizeof(header), deadline_nsec);
        if (r < 0)
                return r;
        r = vhost_message_check_reply(header, request, &have);
        if (r < 0)
                return r;
        return have == len ? receive_all(fd, payload, len, deadline_nsec) : -EPROTO;
}
