/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A host descriptor that a character device reads or writes without ever waiting. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct HostFd {
        int fd; /* owned, -EBADF = none */
        bool is_socket;
        int restore_flags; /* of the shared open file, to be put back; -1 = nothing to do */
} HostFd;

#define HOST_FD_NONE ((HostFd){.fd = -EBADF, .restore_flags = -1})

int host_fd_init_consume(HostFd *host, int fd, int access);
void host_fd_deinit(HostFd *host);
ssize_t host_fd_writev(const HostFd *host, struct iovec *iov, size_t n);
ssize_t host_fd_read(const HostFd *host, void *data, size_t len);
