/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "vmm/jail/jail_internal.h"

typedef int (*DescriptorFn)(int fd);

/* Calls @fn for each open descriptor above 2 until it fails. */
static int for_each_descriptor(DescriptorFn fn) {
        DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;
        int r = 0;

        if (!dir)
                return -errno;
        while (r >= 0 && (entry = readdir(dir))) {
                uint64_t fd;

                if (parse_u64(entry->d_name, &fd) < 0 || fd <= STDERR_FILENO ||
                    (int) fd == dirfd(dir))
                        continue;
                r = fn((int) fd);
        }
        (void) closedir(dir);
        return r;
}

static int close_unless_cloexec(int fd) {
        const int flags = fcntl(fd, F_GETFD);

        if (flags < 0)
                return -errno;
        if (!(flags & FD_CLOEXEC))
                (void) fd_close(fd);
        return 0;
}

/** jail_close_inherited() - see jail_enter(). Return: 0 or negative errno. */
int jail_close_inherited(void) {
        return for_each_descriptor(close_unless_cloexec);
}

static bool same_file(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * The directory alone, as a mount of its own that hangs nowhere: "..", which on @fd leads to the rest of the host, stays
 * where it is. By its path, because @fd belongs to the namespace that we left.
 */
static int confine(int fd) {
        _cleanup_(fd_closep) int tree = -EBADF;
        char path[PATH_MAX];
        struct stat was, is;
        int r;

        if (fstat(fd, &was) < 0)
                return -errno;
        if (!S_ISDIR(was.st_mode))
                return 0;
        r = fd_describe(fd, path, sizeof(path));
        if (r < 0)
                return r;
        tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (tree < 0 || fstat(tree, &is) < 0)
                return -errno;
        if (!same_file(&was, &is))
                return -ESTALE;
        return dup3(tree, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

/** jail_confine_directories() - no way out of the directories that are open. Return: 0 or negative errno. */
int jail_confine_directories(void) {
        return for_each_descriptor(confine);
}
