/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vsock/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/iov.h"
#include "vmm/vsock/muxer_internal.h"

#define DUE(op) ((uint8_t) (1u << (op)))

/* ---- what is to be sent ---- */

/* Counters are free-running, and the guest's are what it likes. */
static uint32_t credit(const VsockConn *conn) {
        uint32_t in_flight = conn->sent_cnt - conn->peer_fwd_cnt;

        return in_flight < conn->peer_buf_alloc ? conn->peer_buf_alloc - in_flight : 0;
}

static bool may_send_data(const VsockConn *conn) {
        return conn->state == VSOCK_CONN_OPEN && conn->readable &&
               !(conn->peer_shutdown & VSOCK_SHUTDOWN_RECEIVE) &&
               !(conn->told_shutdown & VSOCK_SHUTDOWN_SEND);
}

static void update_ready(VsockConn *conn) {
        bool linked = vsock_link_is_linked(&conn->ready);
        bool work =
                conn->due || (may_send_data(conn) && (credit(conn) > 0 || !conn->credit_requested));

        if (work && !linked)
                vsock_link_append(&conn->muxer->ready, &conn->ready);
        else if (!work && linked)
                vsock_link_remove(&conn->ready);
}

/** vsock_conn_set_due() - have a packet with operation @op, without data, sent to the guest */
void vsock_conn_set_due(VsockConn *conn, unsigned op) {
        conn->due |= DUE(op);
        update_ready(conn);
}

/* Tells the guest what the host side will not do any more. */
static void shut(VsockConn *conn, uint32_t flags) {
        if ((conn->told_shutdown & flags) == flags || conn->state != VSOCK_CONN_OPEN)
                return;
        conn->told_shutdown |= flags;
        if (conn->told_shutdown == VSOCK_SHUTDOWN_BOTH) {
                conn->state = VSOCK_CONN_CLOSING;
                vsock_patience_start(conn);
        }
        vsock_conn_set_due(conn, VSOCK_OP_SHUTDOWN);
}

/* ---- bytes from the guest ---- */

static void drop_kept(VsockConn *conn) {
        conn->muxer->n_kept -= conn->kept_end - conn->kept_start;
        free(conn->kept);
        conn->kept = NULL;
        conn->kept_start = conn->kept_end = conn->kept_room = 0;
}

static size_t n_kept(const VsockConn *conn) {
        return conn->kept_end - conn->kept_start;
}

/* Bytes left our room: the guest hears of it before it runs out of credit. */
static void forwarded(VsockConn *conn, size_t n) {
        uint32_t window;

        conn->fwd_cnt += (uint32_t) n;
        window = conn->buf_alloc - (uint32_t) n_kept(conn);
        if (conn->state == VSOCK_CONN_OPEN && conn->fwd_cnt - conn->told_fwd_cnt > window / 2)
                vsock_conn_set_due(conn, VSOCK_OP_CREDIT_UPDATE);
}

/* Return: bytes that the socket took, fewer only when it is full; negative errno when it takes none any more. */
static ssize_t give(const VsockConn *conn, struct iovec *iov, unsigned n) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t sent;

        do
                sent = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent < 0 && errno == EINTR);
        if (sent < 0)
                return errno == EAGAIN ? 0 : -errno;
        return sent;
}

/* Room for @n more bytes behind those that are kept. */
static bool make_room(VsockConn *conn, size_t n) {
        size_t have = n_kept(conn), room = MAX(conn->kept_room, (size_t) 4096);
        uint8_t *grown;

        if (conn->kept_room - conn->kept_end >= n)
                return true;
        if (conn->kept && conn->kept_start > 0) {
                memmove(conn->kept, conn->kept + conn->kept_start, have);
                conn->kept_start = 0;
                conn->kept_end = have;
        }
        if (conn->kept_room - have >= n)
                return true;
        while (room < have + n)
                room *= 2;
        grown = realloc(conn->kept, room);
        if (!grown)
                return false;
        conn->kept = grown;
        conn->kept_room = room;
        return true;
}

/* Return: false when the bytes cannot be kept. */
static bool keep(VsockConn *conn, const struct iovec *iov, unsigned n_iov, size_t skip, size_t n) {
        if (n > VSOCK_KEPT_MAX - conn->muxer->n_kept || !make_room(conn, n))
                return false;
        iov_gather(iov, n_iov, skip, conn->kept + conn->kept_end, n);
        conn->kept_end += n;
        conn->muxer->n_kept += n;
        return true;
}

/* The host reads no more: what the guest sends is thrown away, and it is told so. */
static void host_is_deaf(VsockConn *conn) {
        size_t n = n_kept(conn);

        drop_kept(conn);
        forwarded(conn, n);
        shut(conn, VSOCK_SHUTDOWN_RECEIVE);
}

static void handle_data(VsockConn *conn, const VsockHeader *header, const struct iovec *iov,
                        unsigned n_iov) {
        struct iovec data[VSOCK_PACKET_IOV_MAX];
        ssize_t taken = 0;
        unsigned n;

        if ((conn->peer_shutdown & VSOCK_SHUTDOWN_SEND) ||
            header->len > conn->buf_alloc - n_kept(conn)) {
                vsock_conn_reset(conn);
                return;
        }
        if (header->len == 0)
                return;
        if (conn->told_shutdown & VSOCK_SHUTDOWN_RECEIVE) {
                forwarded(conn, header->len);
                return;
        }
        n = iov_slice(iov, n_iov, VSOCK_HEADER_LEN, header->len, data);
        if (!conn->kept)
                taken = give(conn, data, n);
        if (taken < 0) {
                forwarded(conn, header->len);
                host_is_deaf(conn);
                return;
        }
        if ((size_t) taken < header->len &&
            !keep(conn, data, n, (size_t) taken, header->len - (size_t) taken)) {
                vsock_conn_reset(conn);
                return;
        }
        forwarded(conn, (size_t) taken);
}

/* Gives kept bytes to the socket. Return: whether none are left. */
static bool flush(VsockConn *conn) {
        while (n_kept(conn) > 0) {
                struct iovec iov = {.iov_base = conn->kept + conn->kept_start,
                                    .iov_len = n_kept(conn)};
                ssize_t n = give(conn, &iov, 1);

                if (n == 0)
                        return false;
                if (n < 0) {
                        host_is_deaf(conn);
                        return true;
                }
                conn->kept_start += (size_t) n;
                conn->muxer->n_kept -= (size_t) n;
                forwarded(conn, (size_t) n);
        }
        drop_kept(conn);
        return true;
}

/* ---- the guest's other packets ---- */

/* The guest is told that it is over at once; the host still gets what the guest had sent. */
static void guest_closed(VsockConn *conn) {
        if (n_kept(conn) == 0 || conn->state != VSOCK_CONN_OPEN) {
                vsock_conn_reset(conn);
                return;
        }
        vsock_muxer_forget(conn->muxer, conn);
        conn->state = VSOCK_CONN_FLUSHING;
        conn->due = 0;
        update_ready(conn);
}

static void handle_shutdown(VsockConn *conn, uint32_t flags) {
        conn->peer_shutdown |= flags & VSOCK_SHUTDOWN_BOTH;
        if (conn->peer_shutdown == VSOCK_SHUTDOWN_BOTH) {
                guest_closed(conn);
                return;
        }
        if (conn->peer_shutdown & VSOCK_SHUTDOWN_RECEIVE)
                (void) shutdown(conn->fd, SHUT_RD);
        if ((conn->peer_shutdown & VSOCK_SHUTDOWN_SEND) && n_kept(conn) == 0)
                (void) shutdown(conn->fd, SHUT_WR);
        update_ready(conn);
}

static void handle_response(VsockConn *conn) {
        char line[32];
        int n;

        if (conn->state != VSOCK_CONN_REQUESTED) {
                vsock_conn_reset(conn);
                return;
        }
        n = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);
        if (send(conn->fd, line, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
                vsock_conn_reset(conn);
                return;
        }
        vsock_conn_open(conn);
}

/**
 * vsock_conn_handle() - a packet of the guest for @conn, which may be gone afterwards
 * @header:  belongs to this connection; any operation but REQUEST
 * @iov:     the whole packet, header included, at least as long as @header says
 */
void vsock_conn_handle(VsockConn *conn, const VsockHeader *header, const struct iovec *iov,
                       unsigned n) {
        bool open = conn->state == VSOCK_CONN_OPEN || conn->state == VSOCK_CONN_CLOSING;

        conn->peer_buf_alloc = header->buf_alloc;
        conn->peer_fwd_cnt = header->fwd_cnt;
        if (credit(conn) > 0)
                conn->credit_requested = false;
        update_ready(conn);

        if (header->op == VSOCK_OP_RST)
                (void) vsock_conn_free(conn);
        else if (header->op == VSOCK_OP_RESPONSE)
                handle_response(conn);
        else if (header->op == VSOCK_OP_SHUTDOWN && open)
                handle_shutdown(conn, header->flags);
        else if (header->op == VSOCK_OP_RW && open)
                handle_data(conn, header, iov, n);
        else if (header->op == VSOCK_OP_CREDIT_REQUEST && open)
                vsock_conn_set_due(conn, VSOCK_OP_CREDIT_UPDATE);
        else if (header->op != VSOCK_OP_CREDIT_UPDATE || !open)
                vsock_conn_reset(conn);
}

/* ---- packets to the guest ---- */

static size_t put_packet(VsockConn *conn, const struct iovec *iov, unsigned n, unsigned op,
                         uint32_t len) {
        const VsockHeader header = {
                .src_cid = VSOCK_CID_HOST,
                .dst_cid = conn->muxer->guest_cid,
                .src_port = conn->host_port,
                .dst_port = conn->guest_port,
                .len = len,
                .type = VSOCK_TYPE_STREAM,
                .op = (uint16_t) op,
                .flags = op == VSOCK_OP_SHUTDOWN ? conn->told_shutdown : 0,
                .buf_alloc = conn->buf_alloc,
                .fwd_cnt = conn->fwd_cnt,
        };
        uint8_t raw[VSOCK_HEADER_LEN];

        vsock_header_store(raw, &header);
        iov_scatter(iov, n, 0, raw, sizeof(raw));
        conn->told_fwd_cnt = conn->fwd_cnt;
        conn->due &= (uint8_t) ~(DUE(op) | DUE(VSOCK_OP_CREDIT_UPDATE));
        return VSOCK_HEADER_LEN + len;
}

/* The next of the packets without data, or 0. The shutdown counts what was sent before it. */
static unsigned next_due(const VsockConn *conn) {
        static const uint8_t order[] = {VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, VSOCK_OP_SHUTDOWN,
                                        VSOCK_OP_CREDIT_UPDATE};

        for (unsigned i = 0; i < sizeof(order); i++)
                if (conn->due & DUE(order[i]))
                        return order[i];
        return 0;
}

/* Return: the packet's length; 0 when the socket had no bytes. */
static size_t put_data(VsockConn *conn, const struct iovec *iov, unsigned n_iov, size_t room) {
        struct iovec data[VSOCK_PACKET_IOV_MAX];
        struct msghdr msg = {.msg_iov = data};
        size_t len = MIN((size_t) credit(conn), room - VSOCK_HEADER_LEN);
        ssize_t n;

        msg.msg_iovlen = iov_slice(iov, n_iov, VSOCK_HEADER_LEN, len, data);
        do
                n = recvmsg(conn->fd, &msg, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n > 0) {
                conn->sent_cnt += (uint32_t) n;
                return put_packet(conn, iov, n_iov, VSOCK_OP_RW, (uint32_t) n);
        }
        conn->readable = false;
        if (n == 0)
                shut(conn, VSOCK_SHUTDOWN_SEND);
        else if (errno != EAGAIN)
                shut(conn, VSOCK_SHUTDOWN_BOTH);
        return 0;
}

/**
 * vsock_conn_send() - put the next packet for the guest into its buffers
 * @room: bytes in @iov, more than a header
 *
 * Return: bytes written; 0 when there was nothing after all.
 */
size_t vsock_conn_send(VsockConn *conn, const struct iovec *iov, unsigned n, size_t room) {
        unsigned op = next_due(conn);
        size_t len = 0;

        if (op == 0 && may_send_data(conn)) {
                if (credit(conn) > 0)
                        len = put_data(conn, iov, n, room);
                else if (!conn->credit_requested) {
                        conn->credit_requested = true;
                        op = VSOCK_OP_CREDIT_REQUEST;
                }
        }
        if (len == 0 && op == 0)
                op = next_due(conn); /* there was the end instead of bytes */
        if (op != 0)
                len = put_packet(conn, iov, n, op, 0);

        /* To the end of the line, so that one connection does not keep the others from the buffers. */
        vsock_link_remove(&conn->ready);
        update_ready(conn);
        return len;
}

/* ---- the host's socket ---- */

static void flush_kept(VsockConn *conn) {
        if (!conn->kept || !flush(conn))
                return;
        if (conn->state == VSOCK_CONN_FLUSHING)
                (void) vsock_conn_free(conn);
        else if (conn->peer_shutdown & VSOCK_SHUTDOWN_SEND)
                (void) shutdown(conn->fd, SHUT_WR);
}

static void act(VsockConn *conn, uint32_t events) {
        if (conn->state == VSOCK_CONN_COMMAND) {
                vsock_host_read_command(conn);
                return;
        }
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                conn->readable = true;
        /* Both directions are closed. What the host has sent before is still read; for its other end there is nothing
         * to do but to say so. */
        if ((events & (EPOLLHUP | EPOLLERR)) && !(conn->peer_shutdown & VSOCK_SHUTDOWN_SEND)) {
                if (conn->state == VSOCK_CONN_REQUESTED) {
                        vsock_conn_reset(conn);
                        return;
                }
                host_is_deaf(conn);
        }
        update_ready(conn);
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                flush_kept(conn);
}

static void socket_ready(void *userdata, int fd, uint32_t events) {
        VsockConn *conn = userdata;
        VsockMuxer *muxer = conn->muxer;

        muxer->ops->enter(muxer->device);
        act(conn, events);
        muxer->ops->leave(muxer->device);
}

/* ---- life ---- */

/* The first connections get much; all together are promised little more than is there. */
static uint32_t fair_credit(const VsockMuxer *muxer) {
        uint32_t share = VSOCK_KEPT_MAX / muxer->n_conns;

        return MIN(MAX(share, VSOCK_CREDIT_MIN), VSOCK_CREDIT_MAX);
}

/**
 * vsock_conn_new_consume() - a connection for the socket @fd
 * @fd:  non-blocking, owned from now on, on failure too
 *
 * Return: the connection, owned by the muxer until vsock_conn_free(); NULL when there are too many, or no memory.
 */
VsockConn *vsock_conn_new_consume(VsockMuxer *muxer, int fd, VsockConnState state) {
        VsockConn *conn = NULL;

        if (muxer->n_conns < muxer->n_conns_max)
                conn = calloc(1, sizeof(*conn));
        if (!conn) {
                (void) fd_close(fd);
                return NULL;
        }
        *conn = (VsockConn){.muxer = muxer, .fd = fd, .state = state};
        vsock_link_init(&conn->ready);
        vsock_link_init(&conn->wait);
        vsock_link_append(&muxer->all, &conn->all);
        muxer->n_conns++;
        conn->buf_alloc = fair_credit(muxer);
        /* Each edge is heard once, so that a guest that takes nothing does not keep the loop busy. */
        if (loop_add_fd(muxer->loop, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, socket_ready,
                        conn, &conn->source) < 0)
                conn = vsock_conn_free(conn);
        return conn;
}

/** vsock_conn_free() - close the socket and forget the connection; the guest hears nothing. Return: NULL. */
VsockConn *vsock_conn_free(VsockConn *conn) {
        VsockMuxer *muxer = conn->muxer;

        vsock_conn_table_remove(&muxer->table, conn);
        vsock_link_remove(&conn->ready);
        vsock_link_remove(&conn->wait);
        vsock_link_remove(&conn->all);
        drop_kept(conn);
        loop_remove(conn->source);
        (void) fd_close(conn->fd);
        free(conn);
        muxer->n_conns--;
        vsock_host_hear_again(muxer);
        return NULL;
}

/** vsock_conn_reset() - end the connection and, if it knows of it, tell the guest */
void vsock_conn_reset(VsockConn *conn) {
        vsock_muxer_forget(conn->muxer, conn);
        (void) vsock_conn_free(conn);
}

/** vsock_conn_open() - both sides have agreed */
void vsock_conn_open(VsockConn *conn) {
        vsock_patience_end(conn);
        conn->state = VSOCK_CONN_OPEN;
        conn->readable = true; /* edges before this were not looked at */
        update_ready(conn);
}
