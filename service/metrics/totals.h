/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What happened to all VMs since the daemon was started: the sums behind its metrics. */

#include "service/vm/death.h"
#include "service/metrics/histogram.h"

typedef struct Totals {
        uint64_t created, refused;           /* calls of CreateVm() */
        uint64_t deaths[DEATH_REASON_COUNT]; /* by death_reason_index() */
        Histogram boot, run;
} Totals;

void totals_init(Totals *totals);
void totals_count_creation(Totals *totals, bool succeeded);
void totals_count_boot(Totals *totals, usec_t since_start_usec);
void totals_count_death(Totals *totals, const DeathRecord *record);
