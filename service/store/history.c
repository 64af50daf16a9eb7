/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/history.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/store/history_file.h"
#include "service/store/history_reader.h"
#include "service/store/state_file.h"

/* A thousand records of the longest texts are half of it. */
#define FILE_BYTES_MAX (64u * 1024u * 1024u)

struct History {
        int dir;       /* owned */
        int file;      /* owned; open for appending, which is the worker's to do */
        int ahead_dir; /* borrowed */
        int ahead;     /* owned; likewise a file of records, those that are not in the other one */
        uint64_t ahead_size;
        size_t n_ahead;
        const char *key; /* borrowed */
        Worker *worker;  /* borrowed */

        HistoryPlace *places; /* owned ring of @max; what is in the file is only there */
        size_t max, n, first;
        size_t n_unwritten; /* of the youngest */
        uint64_t size;      /* of the file */
        size_t n_in_file;   /* records, those that left the ring among them */
        size_t rewrite_at;  /* so many of them */

        bool busy;            /* one of these is the worker's */
        HistoryAppend append; /* of the oldest that is unwritten */
        char *forgotten;      /* owned; the text of that one, when it has left the ring meanwhile */
        HistoryRewrite rewrite;
        HistoryPlace *kept; /* owned; the places of that one */
};

static HistoryPlace *slot(const History *history, size_t i) {
        return &history->places[(history->first + i) % history->max];
}

static size_t n_written(const History *history) {
        return history->n - history->n_unwritten;
}

/* Nobody will ask for it any more. The worker may be writing it, though. */
static void drop_oldest(History *history) {
        char *text = TAKE(slot(history, 0)->text);

        if (text && history->busy && history->append.text == text)
                history->forgotten = text;
        else
                free(text);
        history->n_unwritten = MIN(history->n_unwritten, history->n - 1);
        history->first = (history->first + 1) % history->max;
        history->n--;
}

/* The oldest makes room. */
static void keep(History *history, const HistoryPlace *place) {
        if (history->n == history->max)
                drop_oldest(history);
        *slot(history, history->n++) = *place;
}

static void keep_written(History *history, size_t len) {
        keep(history, &(HistoryPlace){.offset = history->size, .len = len});
        history->n_in_file++;
        history->size += len;
}

/* ---- the worker's turns ---- */

static void next_turn(History *history);

static void give(History *history, WorkerJob *job) {
        history->busy = true;
        worker_add(history->worker, job);
}

static void run_append(WorkerJob *job) {
        history_file_append(CONTAINER_OF(job, HistoryAppend, job));
}

/* It could not be written, and is not there; the journal has it. */
static void lose_oldest_unwritten(History *history) {
        const size_t i = n_written(history);

        free(slot(history, i)->text);
        for (size_t j = i; j + 1 < history->n; j++)
                *slot(history, j) = *slot(history, j + 1);
        history->n--;
        history->n_unwritten--;
}

static void on_appended(WorkerJob *job) {
        History *history = CONTAINER_OF(job, History, append.job);
        const bool in_ring = !history->forgotten;
        const int r = history->append.r;

        history->busy = false;
        history->append.text = NULL;
        free(TAKE(history->forgotten));
        if (r < 0) {
                log_warning("write a death to the history: %s, ignoring", strerror(-r));
                if (in_ring)
                        lose_oldest_unwritten(history);
        } else {
                if (in_ring) {
                        HistoryPlace *place = slot(history, n_written(history));

                        free(TAKE(place->text));
                        place->offset = history->size;
                        history->n_unwritten--;
                }
                history->size += history->append.len;
                history->n_in_file++;
        }
        next_turn(history);
}

static void begin_append(History *history) {
        const HistoryPlace *place = slot(history, n_written(history));

        history->append = (HistoryAppend){.job = {.run = run_append, .done = on_appended},
                                          .file = history->file,
                                          .size = history->size,
                                          .text = place->text,
                                          .len = place->len};
        give(history, &history->append.job);
}

static void run_rewrite(WorkerJob *job) {
        history_file_rewrite(CONTAINER_OF(job, HistoryRewrite, job));
}

/* Those that have left the ring since are in the new file, but no longer anywhere else. */
static void take_new_file(History *history) {
        const size_t n = history->rewrite.n, gone = n - MIN(n, n_written(history));
        uint64_t offset = 0;

        for (size_t i = 0; i < n; i++) {
                if (i >= gone)
                        slot(history, i - gone)->offset = offset;
                offset += history->kept[i].len;
        }
        (void) fd_close(history->file);
        history->file = history->rewrite.new_file;
        history->size = offset;
        history->n_in_file = n;
        history->rewrite_at = 2 * history->max;
}

static void end_rewrite(History *history) {
        if (history->rewrite.r == 0)
                take_new_file(history);
        else {
                log_warning("shorten the history: %s, ignoring", strerror(-history->rewrite.r));
                history->rewrite_at = history->n_in_file + history->max;
        }
        free(TAKE(history->kept));
}

static void on_rewritten(WorkerJob *job) {
        History *history = CONTAINER_OF(job, History, rewrite.job);

        history->busy = false;
        end_rewrite(history);
        next_turn(history);
}

/* Return: 0 or -ENOMEM. */
static int prepare_rewrite(History *history) {
        const size_t n = n_written(history);

        history->kept = calloc(n + 1, sizeof(*history->kept));
        if (!history->kept)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                history->kept[i] = *slot(history, i);
        history->rewrite = (HistoryRewrite){.job = {.run = run_rewrite, .done = on_rewritten},
                                            .dir = history->dir,
                                            .file = history->file,
                                            .places = history->kept,
                                            .n = n};
        return 0;
}

static void empty_ahead(History *history) {
        if (ftruncate(history->ahead, 0) < 0)
                log_warning("empty the file of deaths to be written: %m, ignoring");
        history->ahead_size = 0;
        history->n_ahead = 0;
}

/* What there is to do next, unless something is being done. */
static void next_turn(History *history) {
        if (history->busy)
                return;
        if (history->n_in_file >= history->rewrite_at && prepare_rewrite(history) == 0)
                give(history, &history->rewrite.job);
        else if (history->n_unwritten > 0)
                begin_append(history);
        else if (history->n_ahead > 0)
                empty_ahead(history);
}

/* ---- what is to be written, in a file that is in memory ---- */

/* A disk that stands still must not fill the memory, too: who left the ring goes from there. */
static int shorten_ahead(History *history) {
        _cleanup_(strbuf_deinit) StrBuf content = {0};
        int r, fd;

        for (size_t i = n_written(history); i < history->n; i++)
                strbuf_append_bytes(&content, slot(history, i)->text, slot(history, i)->len);
        r = content.failed ? -ENOMEM
                           : state_file_save(history->ahead_dir, HISTORY_FILE, &content,
                                             /* sync= */ false);
        if (r < 0)
                return r;
        fd = history_file_open(history->ahead_dir);
        if (fd < 0)
                return fd;
        (void) fd_close(history->ahead);
        history->ahead = fd;
        history->ahead_size = content.len;
        history->n_ahead = history->n_unwritten;
        return 0;
}

static void write_ahead(History *history, const char *text, size_t len) {
        HistoryAppend append = {
                .file = history->ahead, .size = history->ahead_size, .text = text, .len = len};

        history_file_append(&append);
        if (append.r == 0) {
                history->ahead_size += len;
                history->n_ahead++;
                if (history->n_ahead >= 2 * history->max)
                        append.r = shorten_ahead(history);
        }
        /* It matters only to a daemon after this one, if this one is killed before the disk has it. */
        if (append.r < 0)
                log_debug("write a death ahead: %s, ignoring", strerror(-append.r));
}

/* ---- reading ---- */

typedef int (*FrameFn)(History *history, const Fields *record, const char *frame, size_t len);

/* Return: 0, or 1 if not all of @text was sound; -ENOMEM, which says nothing of it; negative errno of @found. */
static int read_frames(History *history, const char *text, size_t len, FrameFn found) {
        bool sound = true;

        while (len > 0) {
                _cleanup_(fields_deinit) Fields record = {0};
                size_t used;
                int r;

                r = state_unframe(text, len, &record, &used);
                if (r == 0)
                        r = found(history, &record, text, used);
                else if (r != -ENOMEM) {
                        sound = false;
                        used = state_next_frame(text, len);
                        history->size += used;
                        r = 0;
                }
                if (r < 0)
                        return r;
                text += used;
                len -= used;
        }
        return sound ? 0 : 1;
}

static int on_written_frame(History *history, const Fields *record, const char *frame, size_t len) {
        keep_written(history, len);
        return 0;
}

static int load(History *history) {
        _cleanup_(freep) char *text = NULL;
        size_t len;
        int r;

        history->file = history_file_open(history->dir);
        if (history->file < 0)
                return history->file;
        r = fd_read_bounded(history->file, FILE_BYTES_MAX, &text, &len);
        if (r == 0)
                r = read_frames(history, text, len, on_written_frame);
        if (r <= 0 && r != -EFBIG)
                return r;
        log_warning("the history is damaged; %zu records of it can be read, the file is kept as "
                    "." HISTORY_FILE ".bad",
                    history->n);
        /* Still open, for its sound part. */
        r = state_file_set_aside(history->dir, HISTORY_FILE);
        if (r == 0)
                r = prepare_rewrite(history);
        if (r < 0)
                return r;
        history_file_rewrite(&history->rewrite);
        r = history->rewrite.r;
        end_rewrite(history);
        return r;
}

/* The daemon before this one was killed before its worker had written that, or before it heard of it. */
static int on_ahead_frame(History *history, const Fields *record, const char *frame, size_t len) {
        const char *value = fields_get(record, history->key);
        HistoryPlace place = {.len = len};

        history->n_ahead++;
        if (value && history_has(history, value))
                return 0;
        place.text = malloc(len);
        if (!place.text)
                return -ENOMEM;
        memcpy(place.text, frame, len);
        keep(history, &place);
        history->n_unwritten++;
        return 0;
}

static int load_ahead(History *history) {
        const uint64_t size = history->size;
        _cleanup_(freep) char *text = NULL;
        size_t len;
        int r;

        history->ahead = history_file_open(history->ahead_dir);
        if (history->ahead < 0)
                return history->ahead;
        r = fd_read_bounded(history->ahead, FILE_BYTES_MAX, &text, &len);
        if (r < 0)
                return r;
        r = read_frames(history, text, len, on_ahead_frame);
        history->size = size;
        history->ahead_size = len;
        if (r <= 0)
                return r;
        log_warning("the file of deaths to be written is damaged; %zu records of it can be read",
                    history->n_ahead);
        return shorten_ahead(history);
}

/**
 * history_open() - read what there is
 * @spec: its directory is borrowed for the call
 *
 * What is damaged is passed over, and said. Return: 0 or negative errno.
 */
int history_open(const HistorySpec *spec, History **ret) {
        _cleanup_(history_freep) History *history = calloc(1, sizeof(*history));
        int r;

        if (!history)
                return -ENOMEM;
        history->dir = history->file = history->ahead = -EBADF;
        history->ahead_dir = spec->ahead_dir;
        history->key = spec->key;
        history->worker = spec->worker;
        history->max = spec->max;
        history->rewrite_at = 2 * spec->max;
        history->places = calloc(spec->max, sizeof(*history->places));
        if (!history->places)
                return -ENOMEM;
        if (mkdir(spec->directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        history->dir = open(spec->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (history->dir < 0)
                return -errno;
        r = load(history);
        if (r == 0)
                r = load_ahead(history);
        if (r < 0)
                return r;
        next_turn(history);
        *ret = TAKE(history);
        return 0;
}

/** history_free() - its worker has ended. Return: NULL. */
History *history_free(History *history) {
        if (!history)
                return NULL;
        assert(!history->busy);
        for (size_t i = 0; i < history->n; i++)
                free(slot(history, i)->text);
        free(history->places);
        free(history->kept);
        (void) fd_close(history->file);
        (void) fd_close(history->ahead);
        (void) fd_close(history->dir);
        free(history);
        return NULL;
}

/**
 * history_add() - one more death; can be read from now on
 *
 * It survives the end of this process from now on, and is in the file when the disk has got that far; that it could not be
 * written is logged, and then it is not there. Return: 0 or -ENOMEM.
 */
int history_add(History *history, const Fields *record) {
        _cleanup_(strbuf_deinit) StrBuf frame = {0};
        HistoryPlace place = {0};
        int r;

        r = state_frame(record, &frame);
        if (r < 0)
                return r;
        place.len = frame.len;
        r = strbuf_finish(&frame, &place.text);
        if (r < 0)
                return r;
        keep(history, &place);
        history->n_unwritten++;
        write_ahead(history, place.text, place.len);
        next_turn(history);
        return 0;
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
        const HistoryPlace *place = slot(history, history->n - 1 - age);
        _cleanup_(strbuf_deinit) StrBuf frame = {0};
        int r;

        if (place->text)
                return state_unframe(place->text, place->len, ret, NULL);
        r = history_file_read(history->file, place, &frame);
        return r < 0 ? r : state_unframe(frame.data, frame.len, ret, NULL);
}

/* Return: 0; 1 if that is enough; negative errno. */
static int tell_unwritten(const History *history, const HistoryListener *listener) {
        int r = 0;

        for (size_t i = history->n; r == 0 && i > n_written(history); i--) {
                const HistoryPlace *place = slot(history, i - 1);
                _cleanup_(fields_deinit) Fields record = {0};

                r = state_unframe(place->text, place->len, &record, NULL);
                if (r == 0)
                        r = listener->found(listener->userdata, &record);
        }
        return r;
}

/**
 * history_read_all() - tell @listener of the records that there are now
 * @listener: copied; it is told of what is in memory in this call already, and never of the end
 * @ret:      what reads the rest: valid until the end is told or it is cancelled; NULL when there is no rest, nor an end told
 *
 * Return: 0 or negative errno, and then there is no rest either.
 */
int history_read_all(History *history, const HistoryListener *listener, HistoryReader **ret) {
        const size_t n = n_written(history);
        _cleanup_(history_reader_freep) HistoryReader *reader = NULL;
        HistoryPlace *places;
        int r;

        assert(history->worker);
        *ret = NULL;
        r = tell_unwritten(history, listener);
        if (r != 0 || n == 0)
                return MIN(r, 0);
        r = history_reader_new(history->worker, history->file, listener, n, &reader);
        if (r < 0)
                return r;
        places = history_reader_places(reader);
        for (size_t i = 0; i < n; i++)
                places[i] = *slot(history, i);
        r = history_reader_go_on(reader);
        if (r < 0)
                return r;
        *ret = TAKE(reader);
        return 0;
}

/** history_has() - whether there is one with that value of the key; the youngest are looked at first */
bool history_has(const History *history, const char *value) {
        for (size_t age = 0; age < history->n; age++) {
                _cleanup_(fields_deinit) Fields record = {0};
                const char *found;

                if (history_read(history, age, &record) < 0)
                        continue;
                found = fields_get(&record, history->key);
                if (found && str_eq(found, value))
                        return true;
        }
        return false;
}
