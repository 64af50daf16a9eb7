/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wait.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/**
 * wait_process() - waitid(), as the kernel has it: with what the process used, also for one that is left a zombie
 * @ret_peak_bytes: the most memory that it, or a child that it waited for, had resident at once since it was forked; 0
 *                  where nothing was waited for
 *
 * The kernel keeps that figure whatever ended the process, and nobody has to look at it in time.
 *
 * Return: 0 or negative errno.
 */
int wait_process(idtype_t type, id_t id, int options, siginfo_t *ret, uint64_t *ret_peak_bytes) {
        struct rusage usage = {0};

        /* The C library's has no last argument. */
        if (syscall(SYS_waitid, type, id, ret, options, &usage) < 0)
                return -errno;
        *ret_peak_bytes = (uint64_t) usage.ru_maxrss * 1024;
        return 0;
}
