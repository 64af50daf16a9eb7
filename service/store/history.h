/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The last deaths, the oldest first, in a file that outlives daemons and boots: each is one frame of state_file.h,
 * appended. It is not synced: what a power failure takes is in the journal too.
 *
 * A worker writes the file, so nobody waits for its disk. What is not in it yet is read from memory, and kept in a file of a
 * directory that is in memory, too: from there the next daemon writes what the end of this one left.
 */

#include "service/store/fields.h"
#include "service/worker.h"

typedef struct History History;

typedef struct HistorySpec {
        const char *directory; /* created unless it is there */
        int ahead_dir;         /* borrowed; for what is not written yet */
        const char *key;       /* borrowed; no two records have the same value of it */
        size_t max;            /* records that are kept, at least 1 */
        Worker *worker; /* borrowed; must be freed before the history is; NULL: who adds waits */
} HistorySpec;

/* Who reads it all, on the loop. */
typedef struct HistoryListener {
        /* A record, the youngest first. Return: 0 for more; 1, that is enough; negative errno, likewise. */
        int (*found)(void *userdata, const Fields *record);
        /* There is no more to come. @r: 0 or negative errno, also of @found. */
        void (*ended)(void *userdata, int r);
        void *userdata;
} HistoryListener;

typedef struct HistoryReader HistoryReader;

int history_open(const HistorySpec *spec, History **ret);
History *history_free(History *history);
DEFINE_CLEANUP(History *, history_free)

int history_add(History *history, const Fields *record);
size_t history_n(const History *history);
int history_read(const History *history, size_t age, Fields *ret);
int history_read_all(History *history, const HistoryListener *listener, HistoryReader **ret);
void history_reader_cancel(HistoryReader *reader);
bool history_has(const History *history, const char *value);
