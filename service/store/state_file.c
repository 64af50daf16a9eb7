/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32.h"
#include "base/fd.h"

/* The head of a frame: this, the version, the bytes of the body in decimal, its CRC-32 in eight hexadecimal digits. */
#define MAGIC "vivarium-state "
#define HEAD_MAX 64u
#define NAME_BYTES_MAX 128u

/** state_frame() - append @fields as one frame. Return: 0 or -ENOMEM. */
int state_frame(const Fields *fields, StrBuf *out) {
        _cleanup_(strbuf_deinit) StrBuf body = {0};
        int r;

        r = fields_encode(fields, &body);
        if (r < 0)
                return r;
        strbuf_printf(out, MAGIC "%u %zu %08" PRIx32 "\n", STATE_FILE_VERSION, body.len,
                      crc32_ieee(body.data ? body.data : "", body.len));
        strbuf_append_bytes(out, body.data ? body.data : "", body.len);
        return out->failed ? -ENOMEM : 0;
}

/* The three words behind the magic. */
static int parse_head(char *head, uint32_t *ret_version, uint64_t *ret_len, uint32_t *ret_crc) {
        char *state = NULL, *words[3];

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                words[i] = strtok_r(i == 0 ? head : NULL, " ", &state);
                if (!words[i])
                        return -EBADMSG;
        }
        if (strlen(words[2]) != 8 || strspn(words[2], "0123456789abcdef") != 8 ||
            sscanf(words[2], "%" SCNx32, ret_crc) != 1 || parse_u32(words[0], ret_version) < 0 ||
            parse_u64(words[1], ret_len) < 0)
                return -EBADMSG;
        return 0;
}

/**
 * state_unframe() - read the frame at the start of @text
 * @text:     any bytes
 * @ret:      release with fields_deinit()
 * @ret_used: optional; bytes of the frame
 *
 * Return: 0; -EBADMSG when it is damaged; -EPROTONOSUPPORT for a version that only another program knows; -ENOMEM.
 */
int state_unframe(const char *text, size_t len, Fields *ret, size_t *ret_used) {
        const char *end = memchr(text, '\n', MIN(len, (size_t) HEAD_MAX));
        size_t head_len = end ? (size_t) (end - text) : 0;
        char head[HEAD_MAX];
        uint32_t version, crc;
        uint64_t body;
        int r;

        if (head_len < sizeof(MAGIC) || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0)
                return -EBADMSG;
        memcpy(head, text, head_len);
        head[head_len] = '\0';
        r = parse_head(head + sizeof(MAGIC) - 1, &version, &body, &crc);
        if (r < 0)
                return r;
        if (version != STATE_FILE_VERSION)
                return -EPROTONOSUPPORT;
        if (body > len - head_len - 1 || crc32_ieee(end + 1, (size_t) body) != crc)
                return -EBADMSG;
        r = fields_decode(end + 1, (size_t) body, ret);
        if (r < 0)
                return r;
        if (ret_used)
                *ret_used = head_len + 1 + (size_t) body;
        return 0;
}

/** state_next_frame() - where the next frame may start behind the first byte; @len if nowhere */
size_t state_next_frame(const char *text, size_t len) {
        const char *found = len > 1 ? memmem(text + 1, len - 1, "\n" MAGIC, sizeof(MAGIC)) : NULL;

        return found ? (size_t) (found - text) + 1 : len;
}

static int write_temporary(int dir, const char *name, const StrBuf *content, bool sync) {
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, content->data ? content->data : "", content->len);
        if (r < 0)
                return r;
        return sync && fsync(fd) < 0 ? -errno : 0;
}

/**
 * state_file_save() - replace the file @name, or leave it as it was
 * @sync: it must survive a power failure, once this returns; waits for a disk, if there is one
 *
 * Without @sync it survives the end of every process. Return: 0 or negative errno.
 */
int state_file_save(int dir, const char *name, const StrBuf *content, bool sync) {
        char temporary[NAME_BYTES_MAX];
        int r;

        if (snprintf(temporary, sizeof(temporary), ".%s.new", name) >= (int) sizeof(temporary))
                return -ENAMETOOLONG;
        r = write_temporary(dir, temporary, content, sync);
        if (r == 0 && renameat(dir, temporary, dir, name) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(dir, temporary, 0);
                return r;
        }
        return sync && fsync(dir) < 0 ? -errno : 0;
}

/** state_file_save_fields() - state_file_save() of one frame. Return: 0 or negative errno. */
int state_file_save_fields(int dir, const char *name, const Fields *fields, bool sync) {
        _cleanup_(strbuf_deinit) StrBuf content = {0};
        int r = state_frame(fields, &content);

        return r < 0 ? r : state_file_save(dir, name, &content, sync);
}

/**
 * state_file_load() - what was saved
 * @ret: release with fields_deinit()
 *
 * Return: 0; -ENOENT; -EBADMSG, -EFBIG or -EPROTONOSUPPORT for a file that is not ours to understand; other negative
 * errno.
 */
int state_file_load(int dir, const char *name, Fields *ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        struct stat st;
        size_t len, used;
        int r;

        fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        r = fd_read_bounded(fd, STATE_FILE_BYTES_MAX, &text, &len);
        if (r < 0)
                return r;
        r = state_unframe(text, len, ret, &used);
        if (r == 0 && used != len) {
                fields_deinit(ret);
                r = -EBADMSG;
        }
        return r;
}

/** state_file_set_aside() - keep a damaged file out of the way, for people, as .NAME.bad. Return: 0 or negative errno. */
int state_file_set_aside(int dir, const char *name) {
        char aside[NAME_BYTES_MAX];

        if (snprintf(aside, sizeof(aside), ".%s.bad", name) >= (int) sizeof(aside))
                return -ENAMETOOLONG;
        return renameat(dir, name, dir, aside) < 0 ? -errno : 0;
}
