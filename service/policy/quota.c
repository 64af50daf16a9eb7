/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/quota.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "service/conditions.h"

/** quota_default() - what a user may have where nobody said otherwise: half the memory, and room to overcommit CPUs */
Quota quota_default(uint64_t host_memory_bytes, uint64_t host_cpus) {
        return (Quota){
                .vms = 32,
                .starting = 8,
                .vcpus = host_cpus * 4,
                .memory_bytes = host_memory_bytes / 2,
                .files = 1024,
                .records = 100,
        };
}

static const struct {
        size_t offset;
        uint64_t unit; /* that is shown */
        const char *what, *key;
} checked[] = {
        {offsetof(Quota, vms), 1, "VMs", "VmsPerUser"},
        {offsetof(Quota, starting), 1, "VMs being started", "StartingPerUser"},
        {offsetof(Quota, vcpus), 1, "virtual CPUs", "VcpusPerUser"},
        {offsetof(Quota, memory_bytes), 1 << 20, "MiB of memory", "MemoryPerUser"},
        {offsetof(Quota, files), 1, "files for VMs that are not started", "FilesPerUser"},
};

static uint64_t member(const Quota *quota, size_t i) {
        return *(const uint64_t *) ((const char *) quota + checked[i].offset);
}

/**
 * quota_check() - whether @wanted fits beside @used
 *
 * Return: 0; SERVICE_E_QUOTA_EXCEEDED with a sentence that says which limit, and where it is set.
 */
int quota_check(const Quota *limit, const Quota *used, const Quota *wanted, uid_t uid,
                TextError *reterr) {
        for (size_t i = 0; i < ELEMENTSOF(checked); i++) {
                uint64_t most = member(limit, i), now = member(used, i), more = member(wanted, i);

                if (more == 0 || most == QUOTA_UNLIMITED || (now <= most && more <= most - now))
                        continue;
                return text_error_set(
                        reterr, SERVICE_E_QUOTA_EXCEEDED,
                        "uid %u has %" PRIu64 " %s, asks for %" PRIu64
                        " more, and may have %" PRIu64 " in all (%s= in vivariumd.conf(5))",
                        (unsigned) uid, now / checked[i].unit, checked[i].what,
                        more / checked[i].unit, most / checked[i].unit, checked[i].key);
        }
        return 0;
}
