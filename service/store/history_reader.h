/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reads records out of the file of a history, some at a time, on the worker. Which ones is settled when it begins: what is
 * added later, leaves the history or moves with the file is not its concern.
 */

#include "service/store/history.h"
#include "service/store/history_file.h"

int history_reader_new(Worker *worker, int file, const HistoryListener *listener, size_t n,
                       HistoryReader **ret);
HistoryPlace *history_reader_places(HistoryReader *reader);
int history_reader_go_on(HistoryReader *reader);
HistoryReader *history_reader_free(HistoryReader *reader);
DEFINE_CLEANUP(HistoryReader *, history_reader_free)
