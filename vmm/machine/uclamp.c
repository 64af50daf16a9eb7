/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/machine/machine_internal.h"

/* As the kernel has it since 5.3; newer C libraries have a type of the same name. */
typedef struct SchedAttr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
        uint32_t util_min, util_max;
} SchedAttr;

#define UTIL_FULL 1024u /* SCHED_CAPACITY_SCALE */

/**
 * machine_boost_thread() - have the calling thread run as fast as the host's processors go, however little it does
 *
 * Return: 0; -ENOSYS for a kernel without utilization clamps, other negative errno.
 */
int machine_boost_thread(void) {
        const SchedAttr attr = {
                .size = sizeof(attr),
                .flags = SCHED_FLAG_KEEP_ALL | SCHED_FLAG_UTIL_CLAMP_MIN,
                .util_min = UTIL_FULL,
        };

        if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
                return errno == EOPNOTSUPP ? -ENOSYS : -errno;
        return 0;
}
