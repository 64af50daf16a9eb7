/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Owned file descriptors: -EBADF means unset, CLOEXEC from birth. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int fd_close(int fd);
int fd_dup_cloexec(int fd);
int fd_set_cloexec(int fd, bool on);
int fd_set_nonblock(int fd, bool on);
int fd_write_all(int fd, const void *data, size_t len);
int fd_pread_all(int fd, void *data, size_t len, uint64_t offset);
int fd_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);
int fd_read_bounded(int fd, size_t max_bytes, char **ret, size_t *ret_len);
int fd_memfd_from(const char *name, const void *data, size_t len);
int fd_describe(int fd, char *buf, size_t size);
bool fd_is_writable_file(int fd);

static inline void fd_closep(int *fd) {
        (void) fd_close(*fd);
}

/* Hands the descriptor in @fd over and leaves -EBADF behind. */
#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int *_take_fd_p = &(fd);                                                           \
                int _take_fd_v = *_take_fd_p;                                                      \
                *_take_fd_p = -EBADF;                                                              \
                _take_fd_v;                                                                        \
        })
