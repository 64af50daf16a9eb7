/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether the kernel's OOM killer took a process of the daemon's own cgroup (version 2 only). */

#include <stdbool.h>
#include <stdint.h>

typedef struct OomWatch {
        char *events_path;   /* owned; of memory.events; NULL where there is none */
        uint64_t attributed; /* kills up to this count have found their process */
} OomWatch;

int oom_watch_init(OomWatch *watch, const char *proc_cgroup_path, const char *cgroup_root);
void oom_watch_deinit(OomWatch *watch);
uint64_t oom_watch_count(const OomWatch *watch);
bool oom_watch_attribute(OomWatch *watch, uint64_t count_at_start);
