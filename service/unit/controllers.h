/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether a process's cgroup has the controllers that its limits need. */

#include <sys/types.h>

#include "base/text_error.h"
#include "config/vm_config.h"

int controllers_check(pid_t pid, const VmLimits *limits, TextError *reterr);
int controllers_check_at(const char *proc_cgroup_path, const char *cgroup_root,
                         const VmLimits *limits, TextError *reterr);
