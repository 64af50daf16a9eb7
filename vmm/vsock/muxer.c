/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vsock/muxer.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "base/iov.h"
#include "vmm/vsock/muxer_internal.h"

/* Descriptors left to the rest of the VMM. */
#define OTHER_FDS 1024u

/* ---- packets without a connection ---- */

/** vsock_muxer_reply_reset() - send the guest an RST that belongs to no connection */
void vsock_muxer_reply_reset(VsockMuxer *muxer, const VsockReply *reply) {
        if (muxer->n_replies == VSOCK_REPLIES_MAX)
                return;
        muxer->replies[(muxer->first_reply + muxer->n_replies++) % VSOCK_REPLIES_MAX] = *reply;
}

/** vsock_muxer_forget() - the guest is told that @conn is over, if it knows of it; its packets find it no more */
void vsock_muxer_forget(VsockMuxer *muxer, VsockConn *conn) {
        bool known = conn->in_table && !(conn->due & (1u << VSOCK_OP_REQUEST));

        vsock_conn_table_remove(&muxer->table, conn);
        if (known)
                vsock_muxer_reply_reset(muxer, &(VsockReply){
                                                       .src_cid = VSOCK_CID_HOST,
                                                       .guest_port = conn->guest_port,
                                                       .host_port = conn->host_port,
                                                       .type = VSOCK_TYPE_STREAM,
                                               });
}

static void refuse(VsockMuxer *muxer, const VsockHeader *header) {
        vsock_muxer_reply_reset(muxer, &(VsockReply){
                                               .src_cid = header->dst_cid,
                                               .guest_port = header->src_port,
                                               .host_port = header->dst_port,
                                               .type = header->type,
                                       });
}

static size_t put_reply(VsockMuxer *muxer, const struct iovec *iov, unsigned n) {
        const VsockReply *reply = &muxer->replies[muxer->first_reply];
        const VsockHeader header = {
                .src_cid = reply->src_cid,
                .dst_cid = muxer->guest_cid,
                .src_port = reply->host_port,
                .dst_port = reply->guest_port,
                .type = reply->type,
                .op = VSOCK_OP_RST,
        };
        uint8_t raw[VSOCK_HEADER_LEN];

        vsock_header_store(raw, &header);
        iov_scatter(iov, n, 0, raw, sizeof(raw));
        muxer->first_reply = (muxer->first_reply + 1) % VSOCK_REPLIES_MAX;
        muxer->n_replies--;
        return sizeof(raw);
}

/* ---- packets of the guest ---- */

static void handle_request(VsockMuxer *muxer, const VsockHeader *header) {
        VsockConn *conn = NULL;
        int fd;

        fd = vsock_host_connect(muxer, header->dst_port);
        if (fd >= 0)
                conn = vsock_conn_new_consume(muxer, fd, VSOCK_CONN_OPEN);
        if (!conn) {
                refuse(muxer, header);
                return;
        }
        conn->guest_port = header->src_port;
        conn->host_port = header->dst_port;
        conn->peer_buf_alloc = header->buf_alloc;
        conn->peer_fwd_cnt = header->fwd_cnt;
        vsock_conn_table_add(&muxer->table, conn);
        vsock_conn_set_due(conn, VSOCK_OP_RESPONSE);
        vsock_conn_open(conn);
}

/**
 * vsock_muxer_receive() - take a packet of the guest
 * @iov, @n: all of it, at most VSOCK_PACKET_IOV_MAX buffers in guest memory; the header is copied once
 *
 * What does not come from this guest, or is cut short, is dropped; what makes no sense is answered with an RST.
 */
void vsock_muxer_receive(VsockMuxer *muxer, const struct iovec *iov, unsigned n) {
        uint64_t room = iov_total(iov, n);
        uint8_t raw[VSOCK_HEADER_LEN];
        VsockHeader header;
        VsockConn *conn;

        if (iov_gather(iov, n, 0, raw, sizeof(raw)) < sizeof(raw))
                return;
        vsock_header_load(raw, &header);
        if (header.src_cid != muxer->guest_cid || header.len > room - sizeof(raw))
                return;
        if (header.dst_cid != VSOCK_CID_HOST || header.type != VSOCK_TYPE_STREAM) {
                if (header.op != VSOCK_OP_RST)
                        refuse(muxer, &header);
                return;
        }

        conn = vsock_conn_table_find(&muxer->table, header.src_port, header.dst_port);
        if (conn && header.op == VSOCK_OP_REQUEST)
                vsock_conn_reset(conn);
        else if (conn)
                vsock_conn_handle(conn, &header, iov, n);
        else if (header.op == VSOCK_OP_REQUEST)
                handle_request(muxer, &header);
        else if (header.op != VSOCK_OP_RST)
                refuse(muxer, &header);
}

/* ---- packets for the guest ---- */

/** vsock_muxer_pending() - whether vsock_muxer_send() may have something */
bool vsock_muxer_pending(const VsockMuxer *muxer) {
        return muxer->n_replies > 0 || vsock_link_is_linked(&muxer->ready);
}

/**
 * vsock_muxer_send() - put the next packet for the guest into @iov
 * @iov, @n: at most VSOCK_PACKET_IOV_MAX buffers in guest memory, more than a header long
 *
 * Connections take turns. Return: bytes written; 0 when no connection had anything after all.
 */
size_t vsock_muxer_send(VsockMuxer *muxer, const struct iovec *iov, unsigned n) {
        size_t room = (size_t) iov_total(iov, n), len = 0;

        if (muxer->n_replies > 0)
                return put_reply(muxer, iov, n);
        while (len == 0 && vsock_link_is_linked(&muxer->ready))
                len = vsock_conn_send(CONTAINER_OF(muxer->ready.next, VsockConn, ready), iov, n,
                                      room);
        return len;
}

/* ---- life ---- */

/** vsock_muxer_reset() - close every connection and forget every packet; the guest hears nothing */
void vsock_muxer_reset(VsockMuxer *muxer) {
        while (vsock_link_is_linked(&muxer->all))
                (void) vsock_conn_free(CONTAINER_OF(muxer->all.next, VsockConn, all));
        muxer->first_reply = muxer->n_replies = 0;
}

/* Each connection is a descriptor: the soft limit is raised as far as it may be, the hard one is the user's. */
static unsigned limit_connections(void) {
        const rlim_t want = VSOCK_CONNS_MAX + OTHER_FDS;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return OTHER_FDS;
        if (limit.rlim_cur < want) {
                struct rlimit raised = {.rlim_cur = MIN(want, limit.rlim_max),
                                        .rlim_max = limit.rlim_max};

                if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
                        limit = raised;
        }
        if (limit.rlim_cur >= want)
                return VSOCK_CONNS_MAX;
        return limit.rlim_cur > 2 * OTHER_FDS ? (unsigned) limit.rlim_cur - OTHER_FDS
                                              : (unsigned) limit.rlim_cur / 2;
}

static int open_dir(VsockMuxer *muxer, const char *dir, TextError *reterr) {
        muxer->dir_fd = fd_path_open(dir, O_PATH | O_DIRECTORY, 0);
        if (muxer->dir_fd < 0)
                return text_error_set(reterr, muxer->dir_fd, "cannot open the directory '%s': %s",
                                      dir, strerror(-muxer->dir_fd));
        return 0;
}

/**
 * vsock_muxer_new() - listen on DIR/vsock
 * @ret:  set on success only; release with vsock_muxer_free(), after its device's last call
 *
 * Return: 0; negative errno with a sentence.
 */
int vsock_muxer_new(const VsockMuxerConfig *config, VsockMuxer **ret, TextError *reterr) {
        _cleanup_(vsock_muxer_freep) VsockMuxer *muxer = calloc(1, sizeof(*muxer));
        int r;

        if (!muxer)
                return -ENOMEM;
        muxer->loop = config->loop;
        muxer->ops = config->ops;
        muxer->device = config->device;
        muxer->guest_cid = config->guest_cid;
        muxer->dir_fd = muxer->listen_fd = -EBADF;
        muxer->next_host_port = VSOCK_HOST_PORT_FIRST;
        vsock_link_init(&muxer->all);
        vsock_link_init(&muxer->ready);
        vsock_link_init(&muxer->waiting);
        r = vsock_conn_table_init(&muxer->table);
        if (r < 0)
                return r;
        muxer->n_conns_max = limit_connections();
        r = vsock_patience_init(muxer);
        if (r < 0)
                return r;
        r = open_dir(muxer, config->dir, reterr);
        if (r < 0)
                return r;
        r = vsock_host_listen(muxer, reterr);
        if (r < 0)
                return r;
        *ret = TAKE(muxer);
        return 0;
}

/** vsock_muxer_free() - close everything and remove DIR/vsock; not while the loop runs. Return: NULL. */
VsockMuxer *vsock_muxer_free(VsockMuxer *muxer) {
        if (!muxer)
                return NULL;
        vsock_muxer_reset(muxer);
        vsock_host_stop(muxer);
        loop_remove(muxer->patience);
        vsock_conn_table_deinit(&muxer->table);
        (void) fd_close(muxer->dir_fd);
        free(muxer);
        return NULL;
}
