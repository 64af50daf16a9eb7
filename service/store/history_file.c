/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

#define NEW_FILE "." HISTORY_FILE ".new"

/** history_file_open() - in @dir, made unless it is there. Return: descriptor, owned by the caller; negative errno. */
int history_file_open(int dir) {
        int fd = openat(dir, HISTORY_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

        return fd < 0 ? -errno : fd;
}

/** history_file_read() - append the record at @place to @out. Return: 0 or negative errno. */
int history_file_read(int file, const HistoryPlace *place, StrBuf *out) {
        _cleanup_(freep) char *frame = malloc(place->len);
        int r;

        if (!frame)
                return -ENOMEM;
        r = fd_pread_all(file, frame, place->len, place->offset);
        if (r < 0)
                return r;
        strbuf_append_bytes(out, frame, place->len);
        return out->failed ? -ENOMEM : 0;
}

/** history_file_read_several() - as many as there are places; into memory of the loop's, for the thread has none of its own */
void history_file_read_several(HistoryRead *read) {
        char *text = read->text;

        read->r = 0;
        for (size_t i = 0; read->r == 0 && i < read->n; i++) {
                const HistoryPlace *place = &read->places[i];

                read->r = fd_pread_all(read->file, text, place->len, place->offset);
                text += place->len;
        }
}

static int write_at(int file, const char *text, size_t len, uint64_t offset) {
        while (len > 0) {
                ssize_t n = pwrite(file, text, len, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                len -= (size_t) n;
                offset += (uint64_t) n;
        }
        return 0;
}

/** history_file_append() - write one more record behind the sound ones; what does not fit leaves nothing of it */
void history_file_append(HistoryAppend *append) {
        append->r = write_at(append->file, append->text, append->len, append->size);
        /* If even that fails: the next record is written over it. */
        if (append->r < 0 && ftruncate(append->file, (off_t) append->size) < 0)
                return;
}

/* By a piece at a time, for the thread shall not leave the process larger than it was. */
static int copy_record(int from, const HistoryPlace *place, int to, uint64_t offset) {
        char piece[8192];

        for (size_t done = 0; done < place->len;) {
                size_t len = MIN(sizeof(piece), place->len - done);
                int r = fd_pread_all(from, piece, len, place->offset + done);

                if (r == 0)
                        r = write_at(to, piece, len, offset + done);
                if (r < 0)
                        return r;
                done += len;
        }
        return 0;
}

static int copy_all(const HistoryRewrite *rewrite, int to) {
        uint64_t offset = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < rewrite->n; i++) {
                r = copy_record(rewrite->file, &rewrite->places[i], to, offset);
                offset += rewrite->places[i].len;
        }
        return r;
}

/** history_file_rewrite() - write the file anew, with some of its records; whoever looks sees the old one or the new one */
void history_file_rewrite(HistoryRewrite *rewrite) {
        _cleanup_(fd_closep) int fd = openat(
                rewrite->dir, NEW_FILE, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

        rewrite->r = fd < 0 ? -errno : copy_all(rewrite, fd);
        if (rewrite->r == 0 && renameat(rewrite->dir, NEW_FILE, rewrite->dir, HISTORY_FILE) < 0)
                rewrite->r = -errno;
        if (rewrite->r == 0)
                rewrite->new_file = TAKE_FD(fd);
        else
                (void) unlinkat(rewrite->dir, NEW_FILE, 0);
}
