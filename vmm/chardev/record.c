/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/chardev/record.h"

#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/iov.h"
#include "base/log.h"

static ssize_t write_log(const HostFd *host, const char *text, size_t len) {
        char line[LOG_FORMAT_MAX];
        struct iovec iov = {.iov_base = line};

        if (!log_enabled(LOG_LEVEL_INFO))
                return 0;
        iov.iov_len = log_format(LOG_LEVEL_INFO, NULL, text, len, line, sizeof(line));
        return host_fd_writev(host, &iov, 1);
}

/**
 * char_record_write() - write the first line of @iov, without its end, if the host takes it now
 * @format: one of lines
 * @iov:    not empty; a line that has no end is one of all bytes there are
 *
 * As crosvm has it, the end is a line feed with or without a carriage return before it, and an empty line is a message, too.
 *
 * Return: bytes of @iov that this was, more than 0; -EAGAIN or another negative errno.
 */
ssize_t char_record_write(const HostFd *host, CharFormat format, const struct iovec *iov,
                          size_t n) {
        char text[CHAR_RECORD_MAX];
        const size_t len = iov_gather(iov, (unsigned) n, 0, text, sizeof(text));
        const char *end = memchr(text, '\n', len);
        const size_t used = end ? (size_t) (end - text) + 1 : len;
        struct iovec line = {.iov_base = text, .iov_len = end ? used - 1 : len};
        ssize_t r;

        assert(format != CHAR_BYTES && len > 0);
        if (end && line.iov_len > 0 && text[line.iov_len - 1] == '\r')
                line.iov_len--;
        r = format == CHAR_LOG ? write_log(host, text, line.iov_len)
                               : host_fd_writev(host, &line, 1);
        return r < 0 ? r : (ssize_t) used;
}
