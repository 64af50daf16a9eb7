/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/history_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/fd.h"
#include "service/store/state_file.h"

/* So many are read between two turns of the loop, and then told in one. */
#define BATCH_RECORDS 16u

struct HistoryReader {
        HistoryListener listener;
        bool cancelled;
        Worker *worker; /* borrowed */
        int file;       /* owned; of its own, for the history may have another one meanwhile */
        HistoryRead read;
        char *text; /* owned; of that one */
        size_t n;   /* that are left to be read */
        HistoryPlace places[];
};

/**
 * history_reader_new() - what is to be read, and who is told
 * @file: borrowed for the call
 * @n:    number of records, at least 1; history_reader_places() has room for so many
 *
 * Return: 0 or negative errno.
 */
int history_reader_new(Worker *worker, int file, const HistoryListener *listener, size_t n,
                       HistoryReader **ret) {
        _cleanup_(history_reader_freep) HistoryReader *reader =
                calloc(1, sizeof(*reader) + n * sizeof(reader->places[0]));

        if (!reader)
                return -ENOMEM;
        reader->listener = *listener;
        reader->worker = worker;
        reader->n = n;
        reader->file = fcntl(file, F_DUPFD_CLOEXEC, 3);
        if (reader->file < 0)
                return -errno;
        *ret = TAKE(reader);
        return 0;
}

/** history_reader_places() - where the records are, the oldest first; to be filled in before it begins */
HistoryPlace *history_reader_places(HistoryReader *reader) {
        return reader->places;
}

/** history_reader_free() - nothing of it is the worker's. Return: NULL. */
HistoryReader *history_reader_free(HistoryReader *reader) {
        if (!reader)
                return NULL;
        (void) fd_close(reader->file);
        free(reader->text);
        free(reader);
        return NULL;
}

static void end(HistoryReader *reader, int r) {
        const HistoryListener listener = reader->listener;
        const bool cancelled = reader->cancelled;

        (void) history_reader_free(reader);
        if (!cancelled)
                listener.ended(listener.userdata, r);
}

/* What is damaged, or of another version, is passed over. Return: 0; 1 if that is enough; negative errno. */
static int tell(const HistoryReader *reader) {
        const char *next = reader->text;
        int r = 0;

        for (size_t i = 0; i < reader->read.n; i++)
                next += reader->read.places[i].len;
        for (size_t i = reader->read.n; r == 0 && i > 0; i--) {
                const HistoryPlace *place = &reader->read.places[i - 1];
                _cleanup_(fields_deinit) Fields record = {0};

                next -= place->len;
                r = state_unframe(next, place->len, &record, NULL);
                if (r == 0)
                        r = reader->listener.found(reader->listener.userdata, &record);
                else if (r != -ENOMEM)
                        r = 0;
        }
        return r;
}

static void on_read(WorkerJob *job) {
        HistoryReader *reader = CONTAINER_OF(job, HistoryReader, read.job);
        int r = reader->read.r;

        if (r == 0 && !reader->cancelled)
                r = tell(reader);
        free(TAKE(reader->text));
        if (r == 0 && !reader->cancelled && reader->n > 0) {
                r = history_reader_go_on(reader);
                if (r == 0)
                        return;
        }
        end(reader, MIN(r, 0));
}

static void run_read(WorkerJob *job) {
        history_file_read_several(CONTAINER_OF(job, HistoryRead, job));
}

/** history_reader_go_on() - have the next records read; it frees itself when it has told of the end. Return: 0 or -ENOMEM. */
int history_reader_go_on(HistoryReader *reader) {
        const size_t n = MIN(reader->n, (size_t) BATCH_RECORDS);
        const HistoryPlace *places = reader->places + reader->n - n;
        size_t len = 0;

        for (size_t i = 0; i < n; i++)
                len += places[i].len;
        reader->text = malloc(len);
        if (!reader->text)
                return -ENOMEM;
        reader->n -= n;
        reader->read = (HistoryRead){.job = {.run = run_read, .done = on_read},
                                     .file = reader->file,
                                     .places = places,
                                     .n = n,
                                     .text = reader->text};
        worker_add(reader->worker, &reader->read.job);
        return 0;
}

/** history_reader_cancel() - tell its listener of nothing any more; it frees itself when the worker is done with it */
void history_reader_cancel(HistoryReader *reader) {
        if (reader)
                reader->cancelled = true;
}
