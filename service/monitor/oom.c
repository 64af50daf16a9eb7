/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/oom.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

#define FILE_BYTES_MAX 4096u

/*
 * The kernel counts OOM kills per cgroup and does not say whom it killed. All VMMs share the daemon's cgroup for now,
 * so a VMM that died by a SIGKILL which the daemon did not send is taken for a victim when the counter rose during its
 * life by more than what other VMMs of that time account for.
 */

static int read_text(const char *path, char **ret) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return fd_read_bounded(fd, FILE_BYTES_MAX, ret, NULL);
}

/* The rest of the line that starts with @prefix, terminated in place; NULL if there is none. */
static char *find_line(char *text, const char *prefix) {
        size_t n = strlen(prefix);

        for (char *line = text; *line;) {
                char *end = line + strcspn(line, "\n");

                if (strncmp(line, prefix, n) == 0) {
                        *end = '\0';
                        return line + n;
                }
                line = *end ? end + 1 : end;
        }
        return NULL;
}

/**
 * oom_watch_init() - find the counter of this process
 * @proc_cgroup_path: "/proc/self/cgroup"
 * @cgroup_root:      where cgroup version 2 is mounted
 *
 * A host without the counter is no error: nothing is ever attributed there. Return: 0 or -ENOMEM.
 */
int oom_watch_init(OomWatch *watch, const char *proc_cgroup_path, const char *cgroup_root) {
        _cleanup_(freep) char *text = NULL, *path = NULL;
        char *group;
        int r;

        *watch = (OomWatch){0};
        r = read_text(proc_cgroup_path, &text);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        assert(text);
        group = find_line(text, "0::");
        if (!group)
                return 0;
        if (asprintf(&path, "%s%s/memory.events", cgroup_root, str_eq(group, "/") ? "" : group) <
            0) {
                path = NULL;
                return -ENOMEM;
        }
        if (access(path, R_OK) < 0)
                return 0;
        watch->events_path = TAKE(path);
        watch->attributed = oom_watch_count(watch);
        return 0;
}

/** oom_watch_deinit() - release what it owns */
void oom_watch_deinit(OomWatch *watch) {
        free(watch->events_path);
        *watch = (OomWatch){0};
}

/** oom_watch_count() - OOM kills so far, 0 where they are not counted; read it when a VMM starts */
uint64_t oom_watch_count(const OomWatch *watch) {
        _cleanup_(freep) char *text = NULL;
        uint64_t count = 0;
        const char *value;

        if (!watch->events_path || read_text(watch->events_path, &text) < 0)
                return 0;
        assert(text);
        value = find_line(text, "oom_kill ");
        return value && parse_u64(value, &count) == 0 ? count : 0;
}

/**
 * oom_watch_attribute() - whether a process that died by SIGKILL can have been a victim
 * @count_at_start: oom_watch_count() when it started
 *
 * Each kill that was counted is attributed once. Return: true if it was a victim.
 */
bool oom_watch_attribute(OomWatch *watch, uint64_t count_at_start) {
        uint64_t known = MAX(watch->attributed, count_at_start);

        if (oom_watch_count(watch) <= known)
                return false;
        watch->attributed = known + 1;
        return true;
}
