/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The file of the history: what is done to it on the worker's thread, where waiting for a disk is nobody's loss. */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/worker.h"

#define HISTORY_FILE "history"

/* Where a record is. */
typedef struct HistoryPlace {
        uint64_t offset; /* in the file */
        size_t len;
        char *text; /* owned by the history; until the record is in the file, NULL then */
} HistoryPlace;

typedef struct HistoryAppend {
        WorkerJob job;
        int file;         /* borrowed */
        uint64_t size;    /* of what it has */
        const char *text; /* borrowed */
        size_t len;
        int r; /* 0 or negative errno, with the file as it was */
} HistoryAppend;

typedef struct HistoryRewrite {
        WorkerJob job;
        int dir, file;              /* borrowed */
        const HistoryPlace *places; /* borrowed; what the new file is to have, and nothing else */
        size_t n;
        int new_file; /* owned by who takes it from here, unless @r is negative */
        int r;        /* 0 or negative errno, with the file as it was */
} HistoryRewrite;

typedef struct HistoryRead {
        WorkerJob job;
        int file;                   /* borrowed */
        const HistoryPlace *places; /* borrowed; of what is in the file */
        size_t n;
        char *text; /* borrowed; gets them all, one behind the other */
        int r;      /* 0 or negative errno */
} HistoryRead;

int history_file_open(int dir);
int history_file_read(int file, const HistoryPlace *place, StrBuf *out);
void history_file_read_several(HistoryRead *read);
void history_file_append(HistoryAppend *append);
void history_file_rewrite(HistoryRewrite *rewrite);
