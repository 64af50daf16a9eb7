/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rights.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * rights_keep_over_exec() - let the next program have the capabilities that this one may have
 *
 * Whoever is not root in its user namespace keeps them over an exec only so. Makes nothing but system calls.
 *
 * Return: 0 or negative errno.
 */
int rights_keep_over_exec(void) {
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2];

        if (syscall(SYS_capget, &head, data) < 0)
                return -errno;
        for (unsigned i = 0; i < 2; i++)
                data[i].inheritable = data[i].permitted;
        if (syscall(SYS_capset, &head, data) < 0)
                return -errno;
        for (unsigned cap = 0; cap < 64; cap++)
                if ((data[cap / 32].permitted & (1u << (cap % 32))) &&
                    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0 && errno != EINVAL)
                        return -errno;
        return 0;
}
