/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_bind.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/*
 * A socket that nobody listens at is what somebody left behind who was killed. Any other file refuses connections just as
 * well: it stays.
 */
static bool is_stale(int fd, const struct sockaddr_un *address) {
        _cleanup_(fd_closep) int client = -EBADF;
        socklen_t len = sizeof(int);
        struct stat st;
        int type;

        if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return false;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return false;
        client = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return client >= 0 &&
               connect(client, (const struct sockaddr *) address, sizeof(*address)) < 0 &&
               errno == ECONNREFUSED;
}

/**
 * unix_bind() - bind @fd to the path @address, in place of a socket that nobody listens at any more
 * @fd: of the type that a socket left there has
 *
 * Never waits. Return: 0; negative errno, -EADDRINUSE for a path where somebody listens and for what is no socket.
 */
int unix_bind(int fd, const struct sockaddr_un *address) {
        if (bind(fd, (const struct sockaddr *) address, sizeof(*address)) == 0)
                return 0;
        if (errno != EADDRINUSE)
                return -errno;
        if (!is_stale(fd, address))
                return -EADDRINUSE;
        if (unlink(address->sun_path) < 0 ||
            bind(fd, (const struct sockaddr *) address, sizeof(*address)) < 0)
                return -errno;
        return 0;
}
