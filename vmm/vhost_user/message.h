/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Messages of the vhost-user protocol: requests of ours, and replies that are bounded and checked. */

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
        VHOST_SET_VRING_KICK = 12,
        VHOST_SET_VRING_CALL = 13,
        VHOST_SET_VRING_ERR = 14,
        VHOST_GET_PROTOCOL_FEATURES = 15,
        VHOST_SET_PROTOCOL_FEATURES = 16,
        VHOST_GET_QUEUE_NUM = 17,
        VHOST_SET_VRING_ENABLE = 18,
        VHOST_GET_CONFIG = 24,
} VhostRequest;

#define VHOST_HEADER_LEN 12u
#define VHOST_PAYLOAD_MAX 512u
#define VHOST_FDS_MAX 8u

int vhost_message_send(int fd, VhostRequest request, const void *payload, size_t len,
                       const int *fds, size_t n_fds);
int vhost_message_check_reply(const uint8_t *header, VhostRequest request, size_t *ret_len);
int vhost_message_receive(int fd, VhostRequest request, void *payload, size_t len,
                          uint64_t deadline_nsec);
