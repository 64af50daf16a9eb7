/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The sockets between a VMM and the virtiofsd processes that serve its shared folders. */

#include "config/launch_plan.h"

typedef struct ShareSockets {
        LaunchShare items[VM_SHARES_MAX]; /* here their descriptors are owned */
        size_t n;
} ShareSockets;

int share_sockets_make(const char *dir, const VmConfig *config, ShareSockets *ret);
void share_sockets_close(ShareSockets *sockets);
const char *share_find_virtiofsd(void);
