/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

/* A socket that is there but not listened to gives no event; so it is tried again, as often as crosvm does. */
#define RETRY_NSEC 1000000

/* Whoever waits for ever may have these blocked, to see them later. */
static bool is_asked_to_end(void) {
        sigset_t pending;

        return sigpending(&pending) == 0 &&
               (sigismember(&pending, SIGTERM) > 0 || sigismember(&pending, SIGINT) > 0);
}

/* By way of the directory if @path is too long. Return: 0 or negative errno. */
static int make_address(const char *path, struct sockaddr_un *ret, int *ret_directory) {
        const char *name = strrchr(path, '/');
        _cleanup_(freep) char *parent = NULL;
        int n;

        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) < sizeof(ret->sun_path)) {
                memcpy(ret->sun_path, path, strlen(path));
                return 0;
        }
        if (!name)
                return -ENAMETOOLONG;
        parent = strndup(path, (size_t) (name - path) + 1);
        if (!parent)
                return -ENOMEM;
        *ret_directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (*ret_directory < 0)
                return -errno;
        n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d%s", *ret_directory,
                     name);
        return n < 0 || (size_t) n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

/**
 * unix_socket_connect() - connect to the socket at @path
 * @type:         SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM
 * @timeout_nsec: how long it may take to be there and to be listened to; blocks meanwhile. With
 *                UNIX_SOCKET_WAIT_FOREVER only SIGTERM and SIGINT, pending or delivered, end it.
 *
 * Return: the descriptor, close-on-exec and blocking; -EINTR, or connect()'s negative errno.
 */
int unix_socket_connect(const char *path, int type, uint64_t timeout_nsec) {
        const uint64_t start = clock_monotonic_nsec();
        _cleanup_(fd_closep) int directory = -EBADF, fd = -EBADF;
        struct sockaddr_un address;
        int r;

        r = make_address(path, &address, &directory);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        while (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                if ((errno != ENOENT && errno != ECONNREFUSED) ||
                    (timeout_nsec != UNIX_SOCKET_WAIT_FOREVER &&
                     clock_monotonic_nsec() - start >= timeout_nsec))
                        return -errno;
                if (timeout_nsec == UNIX_SOCKET_WAIT_FOREVER && is_asked_to_end())
                        return -EINTR;
                (void) nanosleep(&(struct timespec){.tv_nsec = RETRY_NSEC}, NULL);
        }
        return TAKE_FD(fd);
}
