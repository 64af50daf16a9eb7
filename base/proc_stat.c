/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc_stat.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define STAT_BYTES_MAX 8192u
#define FIELD_AFTER_NAME 3u

/**
 * proc_stat_field() - one number out of the text of /proc/PID/stat
 * @field: above 3
 *
 * The process may have any name, field 2, so fields are counted from behind the last ')'.
 *
 * Return: 0; -EBADMSG for text that is not of that form.
 */
int proc_stat_field(const char *text, unsigned field, uint64_t *ret) {
        const char *p = strrchr(text, ')');
        char number[24];
        size_t n;

        if (!p || p[1] != ' ')
                return -EBADMSG;
        p += 2;
        for (unsigned i = FIELD_AFTER_NAME; i < field; i++) {
                p = strchr(p, ' ');
                if (!p)
                        return -EBADMSG;
                p++;
        }
        n = strcspn(p, " \n");
        if (n == 0 || n >= sizeof(number))
                return -EBADMSG;
        memcpy(number, p, n);
        number[n] = '\0';
        return parse_u64(number, ret) < 0 ? -EBADMSG : 0;
}

/** proc_stat_read() - one number of a process, which may be a zombie. Return: 0; negative errno, -ENOENT if it is gone. */
int proc_stat_read(pid_t pid, unsigned field, uint64_t *ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        char path[64];
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = fd_read_bounded(fd, STAT_BYTES_MAX, &text, NULL);
        if (r < 0)
                return r;
        assert(text);
        return proc_stat_field(text, field, ret);
}
