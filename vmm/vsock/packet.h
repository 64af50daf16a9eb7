/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The packets of the socket device (virtio 1.2 section 5.10.6): a header of 44 bytes, then data for OP_RW alone. */

#include <stdint.h>

#define VSOCK_HEADER_LEN 44u

/* Buffers of one packet in guest memory. */
#define VSOCK_PACKET_IOV_MAX 256u

#define VSOCK_CID_HOST 2u
/* 0 to 2 and the all-ones values are nobody's or the host's own. */
#define VSOCK_CID_GUEST_MIN UINT64_C(3)
#define VSOCK_CID_GUEST_MAX UINT64_C(0xfffffffe)

#define VSOCK_TYPE_STREAM 1u

#define VSOCK_OP_REQUEST 1u
#define VSOCK_OP_RESPONSE 2u
#define VSOCK_OP_RST 3u
#define VSOCK_OP_SHUTDOWN 4u
#define VSOCK_OP_RW 5u
#define VSOCK_OP_CREDIT_UPDATE 6u
#define VSOCK_OP_CREDIT_REQUEST 7u

/* Flags of OP_SHUTDOWN: what the sender will not do any more. */
#define VSOCK_SHUTDOWN_RECEIVE 1u
#define VSOCK_SHUTDOWN_SEND 2u
#define VSOCK_SHUTDOWN_BOTH 3u

/* The one event of the event queue: all connections are gone, and the CID may have changed. */
#define VSOCK_EVENT_TRANSPORT_RESET 0u
#define VSOCK_EVENT_LEN 4u

typedef struct VsockHeader {
        uint64_t src_cid, dst_cid;
        uint32_t src_port, dst_port;
        uint32_t len; /* bytes of data behind the header */
        uint16_t type, op;
        uint32_t flags;
        uint32_t buf_alloc; /* the sender's room for the connection, in bytes */
        uint32_t fwd_cnt;   /* free-running count of bytes that left that room */
} VsockHeader;

void vsock_header_load(const uint8_t raw[VSOCK_HEADER_LEN], VsockHeader *ret);
void vsock_header_store(uint8_t raw[VSOCK_HEADER_LEN], const VsockHeader *header);
