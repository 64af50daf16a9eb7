/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/**
 * fd_close() - close an owned descriptor, keeping errno
 * @fd: consumed; negative values are ignored
 *
 * Return: -EBADF always, so that `x->fd = fd_close(x->fd)` leaves the field unset.
 */
int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                (void) close(fd);
                errno = saved;
        }
        return -EBADF;
}

/**
 * fd_dup_cloexec() - duplicate @fd (borrowed) above the standard streams, CLOEXEC
 *
 * Return: the new descriptor, owned by the caller, or negative errno.
 */
int fd_dup_cloexec(int fd) {
        int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        return r < 0 ? -errno : r;
}

/** fd_set_cloexec() - set or clear FD_CLOEXEC. Return: 0 or negative errno. */
int fd_set_cloexec(int fd, bool on) {
        int flags = fcntl(fd, F_GETFD);

        if (flags < 0)
                return -errno;
        flags = on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
        return fcntl(fd, F_SETFD, flags) < 0 ? -errno : 0;
}

/** fd_set_nonblock() - set or clear O_NONBLOCK on the open file. Return: 0 or negative errno. */
int fd_set_nonblock(int fd, bool on) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return -errno;
        flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

/**
 * fd_write_all() - write all of @data, retrying short writes and EINTR; @fd must be blocking
 *
 * Return: 0 or negative errno; on failure a prefix may have been written.
 */
int fd_write_all(int fd, const void *data, size_t len) {
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += n;
                len -= (size_t) n;
        }
        return 0;
}

/**
 * fd_pread_all() - read exactly @len bytes at @offset
 *
 * Return: 0; -EIO when the file ends first; other negative errno.
 */
int fd_pread_all(int fd, void *data, size_t len, uint64_t offset) {
        char *p = data;

        while (len > 0) {
                ssize_t n = pread(fd, p, len, (off_t) offset);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        return -EIO;
                p += n;
                len -= (size_t) n;
                offset += (uint64_t) n;
        }
        return 0;
}

/**
 * fd_pwrite_all() - write all @len bytes at @offset
 *
 * Return: 0; -EIO when the file takes no more; other negative errno.
 */
int fd_pwrite_all(int fd, const void *data, size_t len, uint64_t offset) {
        const char *p = data;

        while (len > 0) {
                ssize_t n = pwrite(fd, p, len, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                p += n;
                len -= (size_t) n;
                offset += (uint64_t) n;
        }
        return 0;
}

/**
 * fd_read_bounded() - read @fd from its position to end of file
 * @max_bytes:  the most that is accepted
 * @ret:        NUL-terminated copy, owned by the caller
 * @ret_len:    optional; bytes before the terminator
 *
 * Return: 0; -EFBIG when the file is longer than @max_bytes; other negative errno.
 */
int fd_read_bounded(int fd, size_t max_bytes, char **ret, size_t *ret_len) {
        _cleanup_(freep) char *buf = NULL;
        size_t len = 0, room = 0;

        for (;;) {
                ssize_t n;

                if (len == room) {
                        char *grown;

                        if (len > max_bytes)
                                return -EFBIG;
                        room = MIN(room ? room * 2 : 4096, max_bytes + 1);
                        grown = realloc(buf, room + 1);
                        if (!grown)
                                return -ENOMEM;
                        buf = grown;
                }
                n = read(fd, buf + len, room - len);
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (n == 0)
                        break;
                len += (size_t) n;
        }
        if (len > max_bytes)
                return -EFBIG;
        buf[len] = '\0';
        *ret = TAKE(buf);
        if (ret_len)
                *ret_len = len;
        return 0;
}

/**
 * fd_memfd_from() - a sealed anonymous file holding a copy of @data, position 0
 * @name: shown in /proc, for people only
 *
 * Return: the descriptor, owned by the caller, or negative errno.
 */
int fd_memfd_from(const char *name, const void *data, size_t len) {
        _cleanup_(fd_closep) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, data, len);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/**
 * fd_describe() - what /proc says @fd refers to, for log lines
 * @buf: set to the target, or to "fd N" where /proc cannot tell; always terminated
 *
 * Return: 0 or negative errno when only the number could be given.
 */
int fd_describe(int fd, char *buf, size_t size) {
        char path[32];
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, buf, size - 1);
        if (n < 0) {
                int r = -errno;

                (void) snprintf(buf, size, "fd %d", fd);
                return r;
        }
        buf[n] = '\0';
        return 0;
}

/** fd_is_writable_file() - whether @fd is a regular file that is open for writing */
bool fd_is_writable_file(int fd) {
        const int flags = fcntl(fd, F_GETFL);
        struct stat st;

        return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH) &&
               fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}
