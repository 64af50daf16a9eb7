/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/totals.h"

#include "base/cleanup.h"

/* A guest is up in a second or two on hardware, and within the boot timeout of 300 s on the software processor. */
static const usec_t boot_bounds[] = {USEC_PER_SEC / 10, USEC_PER_SEC / 4,  USEC_PER_SEC / 2,
                                     USEC_PER_SEC,      2 * USEC_PER_SEC,  5 * USEC_PER_SEC,
                                     10 * USEC_PER_SEC, 30 * USEC_PER_SEC, 60 * USEC_PER_SEC,
                                     300 * USEC_PER_SEC};

/* From a job of a second to a server of a month. */
static const usec_t run_bounds[] = {
        USEC_PER_SEC,         10 * USEC_PER_SEC,        60 * USEC_PER_SEC,
        600 * USEC_PER_SEC,   3600 * USEC_PER_SEC,      6 * 3600 * USEC_PER_SEC,
        86400 * USEC_PER_SEC, 7 * 86400 * USEC_PER_SEC, 30 * 86400 * USEC_PER_SEC};

/** totals_init() - nothing happened yet */
void totals_init(Totals *totals) {
        *totals = (Totals){0};
        histogram_init(&totals->boot, boot_bounds, ELEMENTSOF(boot_bounds));
        histogram_init(&totals->run, run_bounds, ELEMENTSOF(run_bounds));
}

/** totals_count_creation() - a VM was asked for, and made or refused */
void totals_count_creation(Totals *totals, bool succeeded) {
        if (succeeded)
                totals->created++;
        else
                totals->refused++;
}

/** totals_count_boot() - a guest said that its payload was started, so long after its VMM was */
void totals_count_boot(Totals *totals, usec_t since_start_usec) {
        histogram_add(&totals->boot, since_start_usec);
}

/** totals_count_death() - a VM ended; one that never ran counts as an end, but not as a run */
void totals_count_death(Totals *totals, const DeathRecord *record) {
        totals->deaths[death_reason_index(record->reason)]++;
        if (record->exited || record->exit_signal > 0)
                histogram_add(&totals->run, record->run_time_usec);
}
