/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One connection between a port of the guest and a Unix stream socket of the host. All of it runs on the loop, under the
 * device's lock.
 *
 * Bytes for the guest are never kept here: they stay in the host's socket until the guest has a buffer and has granted
 * credit. Bytes from the guest go straight into the socket; what it does not take is kept, up to the credit that the
 * guest was given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/event/loop.h"
#include "vmm/vsock/link.h"
#include "vmm/vsock/packet.h"

typedef struct VsockConn VsockConn;
typedef struct VsockMuxer VsockMuxer;

typedef enum VsockConnState {
        VSOCK_CONN_COMMAND, /* a host client connected; its line CONNECT PORT is awaited. Not in the table */
        VSOCK_CONN_REQUESTED, /* the guest was asked; its answer is awaited */
        VSOCK_CONN_OPEN,
        VSOCK_CONN_CLOSING,  /* the host has closed and the guest was told; its RST is awaited */
        VSOCK_CONN_FLUSHING, /* the guest has closed; kept bytes go to the host. Not in the table */
} VsockConnState;

struct VsockConn {
        VsockMuxer *muxer; /* weak */
        VsockConn *hash_next;
        VsockLink all;   /* every connection of the muxer */
        VsockLink ready; /* on the muxer's ring while there is something to send to the guest */
        VsockLink wait;  /* on the muxer's ring while patience runs */
        uint64_t wait_until_nsec;
        uint32_t guest_port, host_port;
        VsockConnState state;
        bool in_table;
        int fd; /* owned, non-blocking */
        LoopSource *source;

        /* Towards the guest. */
        uint8_t due;   /* bit N: a packet with operation N, that carries no data */
        bool readable; /* the socket may have bytes, or an end */
        bool credit_requested;
        uint32_t told_shutdown;  /* VSOCK_SHUTDOWN_*: what the host side will not do any more */
        uint32_t sent_cnt;       /* free-running count of bytes sent */
        uint32_t peer_buf_alloc; /* as the guest last said */
        uint32_t peer_fwd_cnt;

        /* From the guest. */
        uint32_t buf_alloc; /* the credit it has; never changes */
        uint32_t fwd_cnt;
        uint32_t told_fwd_cnt;
        uint32_t peer_shutdown; /* VSOCK_SHUTDOWN_*: what the guest will not do any more */
        uint8_t *kept; /* owned; bytes that the socket did not take, NULL while there are none */
        size_t kept_start, kept_end, kept_room;
};

VsockConn *vsock_conn_new_consume(VsockMuxer *muxer, int fd, VsockConnState state);
VsockConn *vsock_conn_free(VsockConn *conn);
void vsock_conn_reset(VsockConn *conn);
void vsock_conn_set_due(VsockConn *conn, unsigned op);
void vsock_conn_open(VsockConn *conn);
void vsock_conn_handle(VsockConn *conn, const VsockHeader *header, const struct iovec *iov,
                       unsigned n);
size_t vsock_conn_send(VsockConn *conn, const struct iovec *iov, unsigned n, size_t room);
