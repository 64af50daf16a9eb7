/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The muxer's state, shared by the files of this folder. */

#include "base/clock.h"
#include "vmm/vsock/conn.h"
#include "vmm/vsock/conn_table.h"
#include "vmm/vsock/muxer.h"

/* Packets for the guest that belong to no connection; what comes beyond is lost, and the guest waits in vain. */
#define VSOCK_REPLIES_MAX 1024u

/* Ports that stand for host clients start here, far from those that services listen on; as Firecracker has it. */
#define VSOCK_HOST_PORT_FIRST (UINT32_C(1) << 30)

/* A reset for the guest. */
typedef struct VsockReply {
        uint64_t src_cid; /* who the guest wanted to talk to */
        uint32_t guest_port, host_port;
        uint16_t type;
} VsockReply;

struct VsockMuxer {
        Loop *loop; /* borrowed */
        const VsockMuxerOps *ops;
        void *device; /* weak */
        uint64_t guest_cid;
        int dir_fd;            /* owned */
        int listen_fd;         /* owned */
        LoopSource *listening; /* accepts clients of the host */
        bool deaf;             /* no descriptor was left; listens again when a connection ends */
        LoopSource *patience;  /* timer for the head of @waiting */

        VsockConnTable table;
        VsockLink all, ready, waiting; /* heads of VsockConn rings */
        unsigned n_conns, n_conns_max;
        uint32_t next_host_port;
        size_t n_kept; /* bytes kept by all connections */

        VsockReply replies[VSOCK_REPLIES_MAX];
        unsigned first_reply, n_replies;
};

/* muxer.c */
void vsock_muxer_reply_reset(VsockMuxer *muxer, const VsockReply *reply);
void vsock_muxer_forget(VsockMuxer *muxer, VsockConn *conn);

/* patience.c: a client's command, the guest's answer and its farewell may take this long. */
#define VSOCK_PATIENCE_NSEC (10 * NSEC_PER_SEC)

int vsock_patience_init(VsockMuxer *muxer);
void vsock_patience_start(VsockConn *conn);
void vsock_patience_end(VsockConn *conn);

/* host.c: the sockets in the directory. */
int vsock_host_listen(VsockMuxer *muxer, TextError *reterr);
void vsock_host_stop(VsockMuxer *muxer);
void vsock_host_hear_again(VsockMuxer *muxer);
int vsock_host_connect(VsockMuxer *muxer, uint32_t port);
void vsock_host_read_command(VsockConn *conn);
