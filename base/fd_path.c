/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define FD_PATH_PREFIX "/proc/self/fd/"

/**
 * fd_path_parse() - whether @path has the form /proc/self/fd/N
 * @ret_fd: optional; set to N when true
 */
bool fd_path_parse(const char *path, int *ret_fd) {
        const char *digits = path + strlen(FD_PATH_PREFIX);
        uint64_t n;

        if (strncmp(path, FD_PATH_PREFIX, strlen(FD_PATH_PREFIX)) != 0)
                return false;
        if (digits[strspn(digits, "0123456789")] != '\0' || parse_u64(digits, &n) < 0 ||
            n > INT_MAX)
                return false;
        if (ret_fd)
                *ret_fd = (int) n;
        return true;
}

/* Descriptors of our own are CLOEXEC from birth, so one without the flag was inherited on purpose. */
static int fd_dup_inherited(int fd, int flags) {
        int have = fcntl(fd, F_GETFD), mode, want = flags & O_ACCMODE;

        if (have < 0)
                return -errno;
        if (have & FD_CLOEXEC)
                return -EBADF;
        mode = fcntl(fd, F_GETFL);
        if (mode < 0)
                return -errno;
        mode &= O_ACCMODE;
        if (mode != O_RDWR && mode != want)
                return -EACCES;
        return fd_dup_cloexec(fd);
}

/**
 * fd_path_open() - open @path, or duplicate the inherited descriptor that it names
 * @flags: as open(2); O_CLOEXEC is implied. For an inherited descriptor only the access mode matters
 * @mode:  for O_CREAT
 *
 * Return: a descriptor owned by the caller; for /proc/self/fd/N -EBADF when N is not open or has FD_CLOEXEC set,
 * which tells inherited descriptors from our own, and -EACCES when N was opened with less access than @flags ask for;
 * other negative errno.
 */
int fd_path_open(const char *path, int flags, mode_t mode) {
        int fd;

        if (fd_path_parse(path, &fd))
                return fd_dup_inherited(fd, flags);
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
        return fd < 0 ? -errno : fd;
}

/**
 * fd_path_open_parent() - hold what @path names by its directory, where the path will lead nowhere
 * @ret_fd:   set to the directory, for unlinkat() and the like; owned by the caller
 * @ret_name: set to the name in it; owned by the caller
 *
 * Return: 0 or negative errno.
 */
int fd_path_open_parent(const char *path, int *ret_fd, char **ret_name) {
        const char *slash = strrchr(path, '/');
        _cleanup_(freep) char *dir = slash ? strndup(path, (size_t) (slash - path) + 1) : NULL;
        _cleanup_(freep) char *name = strdup(slash ? slash + 1 : path);
        int fd;

        if ((slash && !dir) || !name)
                return -ENOMEM;
        fd = open(dir ?: ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        *ret_name = TAKE(name);
        return 0;
}
