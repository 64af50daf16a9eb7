/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The host's side of the socket device: connections of the guest meet Unix sockets in one directory, in Firecracker's
 * convention. The guest's connection to port P of the host becomes one to DIR/vsock_P. A host client connects to
 * DIR/vsock, writes "CONNECT P\n" and reads "OK N\n", N being the port that stands for it, and is then connected to
 * port P of the guest; where nobody listens there its connection is closed.
 *
 * Everything runs on the loop, under the device's lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/event/loop.h"

/* Connections of one VM in all states; fewer where the limit of descriptors is lower. */
#define VSOCK_CONNS_MAX 16384u

/* Bytes kept for slow readers of all connections together; who needs more loses its connection. */
#define VSOCK_KEPT_MAX (64u << 20)

/* Credit of one connection. It is less when there are many, so that honest guests stay below VSOCK_KEPT_MAX. */
#define VSOCK_CREDIT_MAX (256u << 10)
#define VSOCK_CREDIT_MIN (8u << 10)

typedef struct VsockMuxer VsockMuxer;

/* How the muxer acts when a socket wakes it: between enter() and leave() it holds the device's lock. */
typedef struct VsockMuxerOps {
        void (*enter)(void *device);
        void (*leave)(void *device); /* also takes what is pending for the guest */
} VsockMuxerOps;

typedef struct VsockMuxerConfig {
        Loop *loop;         /* borrowed */
        uint64_t guest_cid; /* VSOCK_CID_GUEST_MIN..MAX */
        const char *dir;    /* of the sockets; may be /proc/self/fd/N */
        const VsockMuxerOps *ops;
        void *device; /* weak; for @ops */
} VsockMuxerConfig;

int vsock_muxer_new(const VsockMuxerConfig *config, VsockMuxer **ret, TextError *reterr);
VsockMuxer *vsock_muxer_free(VsockMuxer *muxer);
DEFINE_CLEANUP(VsockMuxer *, vsock_muxer_free)

void vsock_muxer_reset(VsockMuxer *muxer);
void vsock_muxer_receive(VsockMuxer *muxer, const struct iovec *iov, unsigned n);
bool vsock_muxer_pending(const VsockMuxer *muxer);
size_t vsock_muxer_send(VsockMuxer *muxer, const struct iovec *iov, unsigned n);
