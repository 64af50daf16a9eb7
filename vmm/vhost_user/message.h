/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Messages of the vhost-user protocol: requests of ours, and replies that are bounded and checked. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum VhostRequest {
        VHOST_GET_FEATURES = 1,
        VHOST_SET_FEATURES = 2,
        VHOST_SET_OWNER = 3,
        VHOST_SET_MEM_TABLE = 5,
        VHOST_SET_VRING_NUM = 8,
        VHOST_SET_VRING_ADDR = 9,
        VHOST_SET_VRING_BASE = 10,
        VHOST_GET_VRING_BASE = 11,
        VHOST_SET_VRING_KICK = 12,
        VHOST_SET_VRING_CALL = 13,
        VHOST_SET_VRING_ERR = 14,
        VHOST_GET_PROTOCOL_FEATURES = 15,
        VHOST_SET_PROTOCOL_FEATURES = 16,
        VHOST_GET_QUEUE_NUM = 17,
        VHOST_SET_VRING_ENABLE = 18,
        VHOST_SET_BACKEND_REQ_FD = 21,
        VHOST_GET_CONFIG = 24,
        VHOST_SET_CONFIG = 25,
} VhostRequest;

/* What the process may say unasked, on a socket of its own. */
#define VHOST_BACKEND_CONFIG_CHANGE 2u

#define VHOST_HEADER_LEN 12u
#define VHOST_PAYLOAD_MAX 512u
#define VHOST_FDS_MAX 8u

/* Offset, size and flags before the bytes of GET_CONFIG and SET_CONFIG. */
#define VHOST_CONFIG_HEADER_LEN 12u

enum { VHOST_E_MORE = 1 };

/* A message that comes in pieces. */
typedef struct VhostInbox {
        uint8_t bytes[VHOST_HEADER_LEN + VHOST_PAYLOAD_MAX];
        size_t have;
} VhostInbox;

int vhost_message_send(int fd, VhostRequest request, const void *payload, size_t len,
                       const int *fds, size_t n_fds);
int vhost_message_check_reply(const uint8_t *header, VhostRequest request, size_t *ret_len);
bool vhost_message_is_request(const uint8_t *header, uint32_t request);
int vhost_inbox_read(VhostInbox *inbox, int fd);
int vhost_message_receive(int fd, VhostRequest request, void *payload, size_t len,
                          uint64_t deadline_nsec);
