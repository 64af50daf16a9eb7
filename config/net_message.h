/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What vivariumd asks of vivarium-netd and hears from it: one JSON object in one packet of a SOCK_SEQPACKET connection.
 * The descriptors of a TAP interface's queues come beside the answer. Each request has one answer, in their order.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/text_error.h"
#include "config/vm_config.h"

#define NET_MESSAGE_MAX 4096u
#define NET_SOCKET_PATH "/run/vivarium-netd/socket"
#define NET_VM_ID_LEN 32u
#define NET_INTERFACE_MAX 15u /* IFNAMSIZ less its terminator */

typedef enum NetRequestKind {
        NET_REQUEST_TAP, /* make an interface; it lives as long as one of its descriptors is open */
        NET_REQUEST_RELEASE, /* remove those of @vm_id that are left, whoever holds their descriptors */
} NetRequestKind;

typedef struct NetRequest {
        NetRequestKind kind;
        char vm_id[NET_VM_ID_LEN + 1]; /* hexadecimal digits */
        /* Of NET_REQUEST_TAP. */
        char vm_name[VM_NAME_MAX + 1];
        char network[VM_NETWORK_NAME_MAX + 1];
        uint32_t cid;
        uint32_t index; /* of the VM's cards, below VM_NETWORKS_MAX */
        unsigned queues;
        bool isolated;
} NetRequest;

typedef struct NetAnswer {
        char *error; /* owned; why not; NULL if it was done */
        char interface[NET_INTERFACE_MAX + 1];
        uint32_t ifindex;
} NetAnswer;

int net_request_format(const NetRequest *request, char **ret);
int net_request_parse(const char *json, NetRequest *ret, TextError *reterr);
int net_answer_format(const NetAnswer *answer, char **ret);
int net_answer_parse(const char *json, NetAnswer *ret, TextError *reterr);
void net_answer_deinit(NetAnswer *answer);
