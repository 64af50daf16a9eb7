/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/store/state_file.h"

#define FILE_NAME "history"
/* A thousand records of the longest texts are half of it. */
#define FILE_BYTES_MAX (64u * 1024u * 1024u)

/* Where a record is in the file. */
typedef struct Place {
        uint64_t offset;
        size_t len;
} Place;

struct History {
        int dir;       /* owned */
        int file;      /* owned; open for appending */
        Place *places; /* owned ring of @max; the records themselves stay in the file */
        size_t max, n, first;
        uint64_t size;    /* of the file */
        size_t n_in_file; /* records, those that left the ring among them */
};

static Place *slot(const History *history, size_t i) {
        return &history->places[(history->first + i) % history->max];
}

/* The oldest makes room. */
static void keep(History *history, size_t len) {
        *slot(history, history->n) = (Place){history->size, len};
        if (history->n == history->max)
                history->first = (history->first + 1) % history->max;
        else
                history->n++;
        history->n_in_file++;
        history->size += len;
}

/* Return: whether all of @text was sound. */
static bool read_frames(History *history, const char *text, size_t len) {
        bool sound = true;

        while (len > 0) {
                Fields record = {0};
                size_t used;

                if (state_unframe(text, len, &record, &used) == 0)
                        keep(history, used);
                else {
                        sound = false;
                        used = state_next_frame(text, len);
                        history->size += used;
                }
                fields_deinit(&record);
                text += used;
                len -= used;
        }
        return sound;
}

static int open_file(History *history) {
        (void) fd_close(history->file);
        history->file = openat(history->dir, FILE_NAME,
                               O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        return history->file < 0 ? -errno : 0;
}

static int append_frame(const History *history, const Place *place, StrBuf *out) {
        _cleanup_(freep) char *frame = malloc(place->len);
        int r;

        if (!frame)
                return -ENOMEM;
        r = fd_pread_all(history->file, frame, place->len, place->offset);
        if (r < 0)
                return r;
        strbuf_append_bytes(out, frame, place->len);
        return out->failed ? -ENOMEM : 0;
}

/* Writes the file anew, with what is kept alone. */
static int rewrite(History *history) {
        _cleanup_(strbuf_deinit) StrBuf content = {0};
        uint64_t offset = 0;
        int r;

        for (size_t i = 0; i < history->n; i++) {
                r = append_frame(history, slot(history, i), &content);
                if (r < 0)
                        return r;
        }
        r = state_file_save(history->dir, FILE_NAME, &content, /* sync= */ false);
        if (r < 0)
                return r;
        for (size_t i = 0; i < history->n; i++) {
                slot(history, i)->offset = offset;
                offset += slot(history, i)->len;
        }
        history->size = offset;
        history->n_in_file = history->n;
        return open_file(history);
}

static int load(History *history) {
        _cleanup_(freep) char *text = NULL;
        size_t len;
        int r;

        r = open_file(history);
        if (r < 0)
                return r;
        r = fd_read_bounded(history->file, FILE_BYTES_MAX, &text, &len);
        if (r < 0 && r != -EFBIG)
                return r;
        if (r == 0 && read_frames(history, text, len))
                return 0;
        log_warning("the history is damaged; %zu records of it can be read, the file is kept as "
                    "." FILE_NAME ".bad",
                    history->n);
        r = state_file_set_aside(history->dir, FILE_NAME); /* still open, for its sound part */
        return r < 0 ? r : rewrite(history);
}

/**
 * history_open() - read the file in @directory, which is created unless it is there
 * @max: records that are kept, at least 1
 *
 * What is damaged is passed over, and said. Return: 0 or negative errno.
 */
int history_open(const char *directory, size_t max, History **ret) {
        _cleanup_(history_freep) History *history = calloc(1, sizeof(*history));
        int r;

        if (!history)
                return -ENOMEM;
        history->dir = history->file = -EBADF;
        history->max = max;
        history->places = calloc(max, sizeof(*history->places));
        if (!history->places)
                return -ENOMEM;
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        history->dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (history->dir < 0)
                return -errno;
        r = load(history);
        if (r < 0)
                return r;
        *ret = TAKE(history);
        return 0;
}

History *history_free(History *history) {
        if (!history)
                return NULL;
        free(history->places);
        (void) fd_close(history->file);
        (void) fd_close(history->dir);
        free(history);
        return NULL;
}

/**
 * history_add() - one more death
 *
 * Return: 0; negative errno when it could not be written, and is not there.
 */
int history_add(History *history, const Fields *record) {
        _cleanup_(strbuf_deinit) StrBuf frame = {0};
        int r;

        r = state_frame(record, &frame);
        if (r < 0)
                return r;
        r = fd_write_all(history->file, frame.data, frame.len);
        if (r < 0) {
                /* What was written of it would be in the way of the next one. */
                if (ftruncate(history->file, (off_t) history->size) < 0)
                        log_warning("cut the history: %m, ignoring");
                return r;
        }
        keep(history, frame.len);
        return history->n_in_file >= 2 * history->max ? rewrite(history) : 0;
}

/** history_n() - records that there are */
size_t history_n(const History *history) {
        return history->n;
}

/**
 * history_read() - a record
 * @age: the youngest is 0
 * @ret: release with fields_deinit()
 *
 * Return: 0 or negative errno.
 */
int history_read(const History *history, size_t age, Fields *ret) {
        _cleanup_(strbuf_deinit) StrBuf frame = {0};
        int r = append_frame(history, slot(history, history->n - 1 - age), &frame);

        return r < 0 ? r : state_unframe(frame.data, frame.len, ret, NULL);
}

/** history_has() - whether there is one with that value; the youngest are looked at first */
bool history_has(const History *history, const char *key, const char *value) {
        for (size_t age = 0; age < history->n; age++) {
                _cleanup_(fields_deinit) Fields record = {0};
                const char *found;

                if (history_read(history, age, &record) < 0)
                        continue;
                found = fields_get(&record, key);
                if (found && str_eq(found, value))
                        return true;
        }
        return false;
}

/** history_save_fields() - a small file beside the history. Return: 0 or negative errno. */
int history_save_fields(const History *history, const char *name, const Fields *fields) {
        return state_file_save_fields(history->dir, name, fields, /* sync= */ false);
}

/** history_load_fields() - read it; one that is damaged is as if it were not there. Return: 0 or negative errno. */
int history_load_fields(const History *history, const char *name, Fields *ret) {
        return state_file_load(history->dir, name, ret);
}
