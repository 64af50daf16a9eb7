/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of GetHistory() that are answered when their records have been read. */

#include "base/cleanup.h"

/* That wait or are being answered: of one user, and of all. */
#define HISTORY_CALLS_PER_UID_MAX 8u
#define HISTORY_CALLS_MAX 64u

typedef struct HistoryCalls HistoryCalls;
typedef struct BusService BusService;

int history_calls_new(BusService *service, HistoryCalls **ret);
HistoryCalls *history_calls_free(HistoryCalls *calls);
DEFINE_CLEANUP(HistoryCalls *, history_calls_free)
