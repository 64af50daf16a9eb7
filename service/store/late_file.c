/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/late_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/store/state_file.h"

struct LateFile {
        int dir;          /* owned */
        int ahead_dir;    /* borrowed */
        const char *name; /* borrowed */
        Worker *worker;   /* borrowed */
        WorkerJob job;
        bool busy;      /* @job is the worker's, and with it the next two */
        StrBuf content; /* owned; what is being written */
        int r;          /* how that went */
        StrBuf next;    /* owned; what is to be written after that */
        bool has_next;
};

static void run(WorkerJob *job) {
        LateFile *file = CONTAINER_OF(job, LateFile, job);

        file->r = state_file_save(file->dir, file->name, &file->content, /* sync= */ false);
}

static void give_next(LateFile *file) {
        strbuf_deinit(&file->content);
        file->content = file->next;
        file->next = (StrBuf){0};
        file->has_next = false;
        file->busy = true;
        worker_add(file->worker, &file->job);
}

static void done(WorkerJob *job) {
        LateFile *file = CONTAINER_OF(job, LateFile, job);

        file->busy = false;
        if (file->r < 0)
                log_warning("write the file \"%s\": %s, ignoring", file->name, strerror(-file->r));
        if (file->has_next)
                give_next(file);
}

/** late_file_new() - nothing is read or written yet. Return: 0 or negative errno. */
int late_file_new(const LateFileSpec *spec, LateFile **ret) {
        _cleanup_(late_file_freep) LateFile *file = malloc(sizeof(*file));

        if (!file)
                return -ENOMEM;
        *file = (LateFile){.dir = open(spec->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                           .ahead_dir = spec->ahead_dir,
                           .name = spec->name,
                           .worker = spec->worker,
                           .job = {.run = run, .done = done}};
        if (file->dir < 0)
                return -errno;
        *ret = TAKE(file);
        return 0;
}

/** late_file_free() - its worker has ended. Return: NULL. */
LateFile *late_file_free(LateFile *file) {
        if (!file)
                return NULL;
        assert(!file->busy);
        strbuf_deinit(&file->content);
        strbuf_deinit(&file->next);
        (void) fd_close(file->dir);
        free(file);
        return NULL;
}

/**
 * late_file_save() - from now on this is what late_file_load() reads, in the next daemon too
 *
 * That the disk does not take it is logged. Return: 0 or -ENOMEM.
 */
int late_file_save(LateFile *file, const Fields *fields) {
        _cleanup_(strbuf_deinit) StrBuf content = {0};
        int r = state_frame(fields, &content);

        if (r < 0)
                return r;
        r = state_file_save(file->ahead_dir, file->name, &content, /* sync= */ false);
        if (r < 0)
                log_debug("write the file \"%s\" ahead: %s, ignoring", file->name, strerror(-r));
        strbuf_deinit(&file->next);
        file->next = content;
        content = (StrBuf){0};
        file->has_next = true;
        if (!file->busy)
                give_next(file);
        return 0;
}

/** late_file_load() - what was saved last; what is damaged is as if it were not there. Return: 0 or negative errno. */
int late_file_load(const LateFile *file, Fields *ret) {
        if (state_file_load(file->ahead_dir, file->name, ret) == 0)
                return 0;
        return state_file_load(file->dir, file->name, ret);
}
