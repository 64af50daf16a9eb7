/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The last deaths, the oldest first, in a file that outlives daemons and boots: each is one frame of state_file.h,
 * appended. It is not synced: what a power failure takes is in the journal too.
 */

#include "service/store/fields.h"

typedef struct History History;

int history_open(const char *directory, size_t max, History **ret);
History *history_free(History *history);
DEFINE_CLEANUP(History *, history_free)

int history_add(History *history, const Fields *record);
size_t history_n(const History *history);
int history_read(const History *history, size_t age, Fields *ret);
int history_save_fields(const History *history, const char *name, const Fields *fields);
int history_load_fields(const History *history, const char *name, Fields *ret);
bool history_has(const History *history, const char *key, const char *value);
