/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/fd_path.h"

/* The kernel's lines of @map; without one, whoever runs the VMM is root and all others are nobody. */
static char *to_lines(const char *map, uint32_t outside) {
        char *lines = NULL;
        int n = map ? asprintf(&lines, "%s\n", map) : asprintf(&lines, "0 %u 1\n", outside);

        if (n < 0)
                return NULL;
        for (char *p = lines; *p; p++)
                if (*p == ',')
                        *p = '\n';
        return lines;
}

/**
 * directory_users_init() - what the kernel is to be told for @config
 * @sandbox: whether the VM has one; without it helpers run as the VMM does, unless @config says otherwise
 */
int directory_users_init(DirectoryUsers *users, const VmmUsers *config, bool sandbox) {
        *users = (DirectoryUsers){.none = !sandbox && !config->given};
        users->uid_map = to_lines(config->uid_map, geteuid());
        users->gid_map = to_lines(config->gid_map, getegid());
        if (!users->uid_map || !users->gid_map)
                return -ENOMEM;
        users->helper = (HelperUsers){
                .uid_map = users->uid_map,
                .gid_map = users->gid_map,
                .uid = config->uid,
                .gid = config->gid,
        };
        return 0;
}

/** directory_users_deinit() - release what it owns */
void directory_users_deinit(DirectoryUsers *users) {
        free(users->uid_map);
        free(users->gid_map);
        *users = (DirectoryUsers){0};
}

/** directory_open() - a descriptor of the directory @path, for a helper. Return: it, owned; or negative errno with a sentence. */
int directory_open(const char *path, TextError *reterr) {
        _cleanup_(fd_closep) int fd = fd_path_open(path, O_RDONLY | O_DIRECTORY, 0);
        struct stat st;
        int r = fd;

        if (r >= 0 && fstat(fd, &st) < 0)
                r = -errno;
        if (r >= 0 && !S_ISDIR(st.st_mode)) /* a descriptor that was inherited */
                r = -ENOTDIR;
        if (r < 0)
                return text_error_set(reterr, r, "%s", strerror(-r));
        return TAKE_FD(fd);
}
