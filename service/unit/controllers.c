/* SPDX-License-Identifier: Apache-2.0 */
#include "service/unit/controllers.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

/*
 * systemd takes limits that it cannot enforce without a word: those of a user's manager to which a controller was not
 * delegated, and some on hosts with cgroups of version 1. A client that asked for a limit was promised it, so the start
 * looks, before anything of the VM runs.
 */

#define FILE_BYTES_MAX 65536u /* on a host of cgroups of version 1, a line for each hierarchy */

static int read_text(const char *path, char **ret) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return fd_read_bounded(fd, FILE_BYTES_MAX, ret, NULL);
}

/* The cgroup of version 2 in a file like /proc/self/cgroup, terminated in place; NULL if there is none. */
static char *find_group(char *text) {
        char *state = NULL;

        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
                if (strncmp(line, "0::/", 4) == 0)
                        return line + 3;
        return NULL;
}

static bool has_word(const char *list, const char *word) {
        size_t n = strlen(word);

        for (const char *p = list; *p; p += strspn(p, " \n")) {
                size_t len = strcspn(p, " \n");

                if (len == n && strncmp(p, word, n) == 0)
                        return true;
                p += len;
        }
        return false;
}

static int check_list(const char *list, const VmLimits *limits, TextError *reterr) {
        const struct {
                const char *controller, *limit;
                uint64_t value;
        } needs[] = {{"memory", "memory_max_mib", limits->memory_max_mib},
                     {"memory", "memory_high_mib", limits->memory_high_mib},
                     {"cpu", "cpu_weight", limits->cpu_weight},
                     {"cpu", "cpu_quota_percent", limits->cpu_quota_percent},
                     {"io", "io_weight", limits->io_weight},
                     {"pids", "tasks_max", limits->tasks_max}};

        for (size_t i = 0; i < ELEMENTSOF(needs); i++)
                if (needs[i].value > 0 && !has_word(list, needs[i].controller))
                        return text_error_set(reterr, -EOPNOTSUPP,
                                              "limits.%s: the VM's scope has no controller \"%s\" "
                                              "of cgroup version 2",
                                              needs[i].limit, needs[i].controller);
        return 0;
}

/** controllers_check_at() - controllers_check() with the files of a test */
int controllers_check_at(const char *proc_cgroup_path, const char *cgroup_root,
                         const VmLimits *limits, TextError *reterr) {
        _cleanup_(freep) char *text = NULL, *path = NULL, *list = NULL;
        const char *group;
        int r;

        if (memcmp(limits, &(VmLimits){0}, sizeof(*limits)) == 0)
                return 0;
        r = read_text(proc_cgroup_path, &text);
        if (r < 0)
                return text_error_set(reterr, r, "limits: read %s: %s", proc_cgroup_path,
                                      strerror(-r));
        assert(text);
        group = find_group(text);
        if (!group)
                return check_list("", limits, reterr);
        if (asprintf(&path, "%s%s/cgroup.controllers", cgroup_root, group) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = read_text(path, &list);
        if (r == -ENOMEM)
                return r;
        /* Where version 2 is mounted beside version 1, it is elsewhere and without controllers. */
        return check_list(list ? list : "", limits, reterr);
}

/**
 * controllers_check() - whether the cgroup of a process can be held to @limits
 * @pid: of a process that its scope was made for
 *
 * Return: 0; -EOPNOTSUPP when a controller is missing; other negative errno.
 */
int controllers_check(pid_t pid, const VmLimits *limits, TextError *reterr) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
        return controllers_check_at(path, "/sys/fs/cgroup", limits, reterr);
}
