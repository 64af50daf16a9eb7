/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/chardev/host_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * Descriptors given to the VMM are often shared with their giver, and O_NONBLOCK belongs to the open file, not to the
 * descriptor. So sockets are asked per call; pipes and terminals are opened anew through /proc, which gives an open
 * file of our own; only what cannot be reopened gets the flag, and gets it taken away again in the end.
 */

/* Opening this one anew would make another terminal. */
static bool is_pty_master(const struct stat *st) {
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(5, 2);
}

static int fd_reopen_nonblock(int fd, int access) {
        char path[32];
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return r < 0 ? -errno : r;
}

static int host_fd_make_nonblock(HostFd *host, int access, const struct stat *st) {
        int flags = fcntl(host->fd, F_GETFL), fd;

        if (flags < 0)
                return -errno;
        if (flags & O_NONBLOCK)
                return 0;
        if (!is_pty_master(st)) {
                fd = fd_reopen_nonblock(host->fd, access);
                if (fd >= 0) {
                        (void) fd_close(host->fd);
                        host->fd = fd;
                        return 0;
                }
        }
        if (fcntl(host->fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        host->restore_flags = flags;
        return 0;
}

/**
 * host_fd_init_consume() - take over @fd and make it non-blocking where its kind can block
 * @fd:     consumed on success and failure
 * @access: O_RDONLY or O_WRONLY, what it is used for
 *
 * Return: 0 or negative errno.
 */
int host_fd_init_consume(HostFd *host, int fd, int access) {
        struct stat st;
        int r = 0;

        *host = (HostFd){.fd = fd, .restore_flags = -1};
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (S_ISSOCK(st.st_mode))
                host->is_socket = true;
        else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
                r = host_fd_make_nonblock(host, access, &st);
        if (r < 0)
                host_fd_deinit(host);
        return r;
}

/** host_fd_deinit() - close it and leave a shared open file as it was found */
void host_fd_deinit(HostFd *host) {
        if (host->restore_flags >= 0)
                (void) fcntl(host->fd, F_SETFL, host->restore_flags);
        host->fd = fd_close(host->fd);
        host->restore_flags = -1;
}

/** host_fd_writev() - write what can be written now. Return: bytes, or -EAGAIN or another negative errno. */
ssize_t host_fd_writev(const HostFd *host, struct iovec *iov, size_t n) {
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t r;

        do
                r = host->is_socket ? sendmsg(host->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                                    : writev(host->fd, iov, (int) n);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : r;
}

/** host_fd_read() - read what is there now. Return: bytes, 0 at the end, or -EAGAIN or another negative errno. */
ssize_t host_fd_read(const HostFd *host, void *data, size_t len) {
        ssize_t r;

        do
                r = host->is_socket ? recv(host->fd, data, len, MSG_DONTWAIT)
                                    : read(host->fd, data, len);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : r;
}
