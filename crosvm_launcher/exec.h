/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From "everything is known" to the VMM: narrow this process, and become it. */

#include "base/text_error.h"

#include <stdbool.h>
#include "crosvm_launcher/fd_map.h"

typedef struct LaunchExec {
        const char *path;   /* borrowed */
        char *const *argv;  /* borrowed */
        const FdMap *map;   /* borrowed */
        int err;            /* borrowed; becomes standard output and error; -EBADF for /dev/null */
        bool locks_memory;  /* all of the guest's is pinned: as much as the service may allow */
        bool may_dump_core; /* leave RLIMIT_CORE as it is, instead of 0 */
} LaunchExec;

int launch_narrow(bool may_dump_core, TextError *reterr);
int launch_exec(const LaunchExec *launch, int *status_fd, TextError *reterr);
