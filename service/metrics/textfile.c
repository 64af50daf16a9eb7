/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/worker.h"

/* As often as Prometheus asks by default. */
#define PERIOD_USEC (15 * USEC_PER_SEC)
#define ACCURACY_USEC USEC_PER_SEC

struct MetricsTextfile {
        MetricsWriteFn write;
        void *userdata;         /* borrowed */
        char *path, *temporary; /* owned */
        sd_event_source *timer; /* owned */
        Worker *worker;         /* owned; for the disk may be slow */
        WorkerJob job;
        char *text; /* owned; while the worker writes it */
        int r;      /* how that went */
        int failed; /* errno of the last writing, so that it is told of once */
};

/* The collector may read as another user, and must never see half a file. */
static int replace_file(const MetricsTextfile *file, const char *text) {
        _cleanup_(fd_closep) int fd = -EBADF;
        size_t len = strlen(text);
        ssize_t n;

        (void) unlink(file->temporary);
        fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        n = write(fd, text, len);
        if (n < 0)
                return -errno;
        if ((size_t) n != len)
                return -ENOSPC;
        /* Whatever the daemon's umask is. */
        if (fchmod(fd, 0644) < 0 || rename(file->temporary, file->path) < 0)
                return -errno;
        return 0;
}

static void run(WorkerJob *job) {
        MetricsTextfile *file = CONTAINER_OF(job, MetricsTextfile, job);

        file->r = replace_file(file, file->text);
}

static void tell(MetricsTextfile *file, int r) {
        if (r < 0 && r != file->failed)
                log_warning("write %s: %s", file->path, strerror(-r));
        file->failed = r;
}

static void done(WorkerJob *job) {
        MetricsTextfile *file = CONTAINER_OF(job, MetricsTextfile, job);

        free(TAKE(file->text));
        tell(file, file->r);
}

static void refresh(MetricsTextfile *file) {
        int r = file->write(file->userdata, EXPOSITION_PROMETHEUS, &file->text);

        if (r < 0)
                tell(file, r);
        else
                worker_add(file->worker, &file->job);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        MetricsTextfile *file = userdata;

        /* A disk that has not taken the last one would not take this one either. */
        if (!file->text)
                refresh(file);
        (void) sd_event_source_set_time_relative(source, PERIOD_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/**
 * metrics_textfile_new() - write @path by rename, first in this turn of the event loop and then every 15 s
 * @path: absolute; the collector reads names that end in .prom only
 *
 * Return: 0 or negative errno; what cannot be written later is logged.
 */
int metrics_textfile_new(sd_event *event, const char *path, MetricsWriteFn write, void *userdata,
                         MetricsTextfile **ret) {
        _cleanup_(metrics_textfile_freep) MetricsTextfile *file = calloc(1, sizeof(*file));
        int r;

        if (!file)
                return -ENOMEM;
        file->write = write;
        file->job = (WorkerJob){.run = run, .done = done};
        file->userdata = userdata;
        file->path = strdup(path);
        if (!file->path)
                return -ENOMEM;
        if (asprintf(&file->temporary, "%s.new", path) < 0) {
                file->temporary = NULL;
                return -ENOMEM;
        }
        r = worker_new(event, &file->worker);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(event, &file->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
                                       on_timer, file);
        if (r < 0)
                return r;
        *ret = TAKE(file);
        return 0;
}

/** metrics_textfile_free() - stop, and remove the file: old numbers are worse than none. Return: NULL. */
MetricsTextfile *metrics_textfile_free(MetricsTextfile *file) {
        if (!file)
                return NULL;
        (void) sd_event_source_disable_unref(file->timer);
        (void) worker_free(file->worker);
        if (file->path && file->failed == 0)
                (void) unlink(file->path);
        free(file->path);
        free(file->temporary);
        free(file);
        return NULL;
}
