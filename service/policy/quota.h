/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How much of the host the VMs of one unprivileged user may take. Pure: the manager counts, this compares. */

#include <stdint.h>
#include <sys/types.h>

#include "base/text_error.h"

#define QUOTA_UNLIMITED UINT64_MAX

/* What the VMs of a user have, and how much of it they may. */
typedef struct Quota {
        uint64_t vms;      /* that are not dead */
        uint64_t starting; /* whose VMM is being launched */
        uint64_t vcpus;
        uint64_t memory_bytes; /* of the guests; besides it each VMM has some of its own */
        uint64_t files;        /* descriptors kept for VMs that are not started */
        uint64_t records;      /* dead VMs that stay readable; the oldest one gives way */
} Quota;

Quota quota_default(uint64_t host_memory_bytes, uint64_t host_cpus);
int quota_check(const Quota *limit, const Quota *used, const Quota *wanted, uid_t uid,
                TextError *reterr);
