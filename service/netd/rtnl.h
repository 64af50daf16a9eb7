/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's own side of kernel.h: rtnetlink through libnl-3, and /dev/net/tun. */

#include "base/cleanup.h"
#include "service/netd/kernel.h"

typedef struct Rtnl Rtnl;

int rtnl_new(Rtnl **ret);
Rtnl *rtnl_free(Rtnl *rtnl);
DEFINE_CLEANUP(Rtnl *, rtnl_free)
Kernel rtnl_kernel(Rtnl *rtnl);
int rtnl_watch(Rtnl *rtnl, int *ret_fd);
bool rtnl_take_events(Rtnl *rtnl);
