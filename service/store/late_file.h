/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A small file, always whole, that is written anew often: a worker writes it, and of several contents in a row the last one
 * only. Until the disk has it, a file of the same name in a directory that is in memory does, and there it is read first.
 */

#include "service/store/fields.h"
#include "service/worker.h"

typedef struct LateFile LateFile;

typedef struct LateFileSpec {
        const char *directory; /* which exists */
        int ahead_dir;         /* borrowed */
        const char *name;      /* borrowed; in both */
        Worker *worker; /* borrowed; must be freed before the file is; NULL: who saves waits */
} LateFileSpec;

int late_file_new(const LateFileSpec *spec, LateFile **ret);
LateFile *late_file_free(LateFile *file);
DEFINE_CLEANUP(LateFile *, late_file_free)

int late_file_save(LateFile *file, const Fields *fields);
int late_file_load(const LateFile *file, Fields *ret);
