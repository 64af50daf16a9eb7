/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The network cards of a VM as its launcher gets them. */

#include "base/text_error.h"
#include "config/launch_plan.h"
#include "config/net_message.h"

typedef struct Cards {
        LaunchCard items[VM_NETWORKS_MAX]; /* here their descriptors are owned */
        char interfaces[VM_NETWORKS_MAX]
                       [NET_INTERFACE_MAX + 1]; /* the host's names; "" of those that are none */
        size_t n;
} Cards;

int cards_prepare(const VmConfig *config, const char *vm_name, bool has_bridges, Cards *ret,
                  TextError *reterr);
bool cards_have_bridges(const Cards *cards);
void cards_close(Cards *cards);
