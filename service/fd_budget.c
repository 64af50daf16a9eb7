/* SPDX-License-Identifier: Apache-2.0 */
#include "service/fd_budget.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/cleanup.h"

/*
 * A message whose descriptors cannot all be received breaks the connection to the bus, and with it goes the daemon and
 * every VM of every client. So what VMs keep must never reach the limit of the process: the last descriptors are for
 * messages. The kernel hands out the lowest free number, so a number tells how many are in use without counting them.
 */

/* Two messages of the most that one can carry, SCM_MAX_FD. With a small limit half of it has to do. */
#define FD_BUDGET_RESERVE 512u

/**
 * fd_budget_check() - whether @fd, just made, may be kept for a VM
 *
 * Return: 0; -EMFILE when it is one of those that are left for messages.
 */
int fd_budget_check(int fd) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        return (rlim_t) fd < limit.rlim_cur - MIN((rlim_t) FD_BUDGET_RESERVE, limit.rlim_cur / 2)
                       ? 0
                       : -EMFILE;
}
