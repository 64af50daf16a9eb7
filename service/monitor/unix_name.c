/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/unix_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static int address_of(int dir_fd, const char *name, struct sockaddr_un *ret) {
        int n;

        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
        return n > 0 && (size_t) n < sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

static int make(int type) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

/**
 * unix_name_listen() - a socket that listens as @name in @dir_fd, in the place of one that is there
 *
 * Return: non-blocking descriptor, owned by the caller; negative errno.
 */
int unix_name_listen(int dir_fd, const char *name, int type, int backlog) {
        _cleanup_(fd_closep) int fd = make(type);
        struct sockaddr_un address;
        int r = address_of(dir_fd, name, &address);

        if (fd < 0)
                return fd;
        if (r < 0)
                return r;
        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
                return -errno;
        if (bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
            listen(fd, backlog) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/**
 * unix_name_connect() - to the socket @name in @dir_fd
 *
 * Return: non-blocking descriptor, owned by the caller; -EAGAIN when its backlog is full; other negative errno.
 */
int unix_name_connect(int dir_fd, const char *name, int type) {
        _cleanup_(fd_closep) int fd = make(type);
        struct sockaddr_un address;
        int r = address_of(dir_fd, name, &address);

        if (fd < 0)
                return fd;
        if (r < 0)
                return r;
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/** unix_name_open_dir() - a directory for the functions above. Return: owned descriptor; negative errno. */
int unix_name_open_dir(int parent_fd, const char *path) {
        int fd = openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}
