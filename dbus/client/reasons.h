/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Death reasons as vivctl explains them, and vivctl's exit statuses. */

#include <stddef.h>
#include <stdint.h>

enum {
        EXIT_STATUS_OK = 0,
        EXIT_STATUS_ERROR = 1, /* the bus, the service or the system said no */
        EXIT_STATUS_USAGE = 2, /* the command line is wrong, or the config that it names */
        EXIT_STATUS_UNKNOWN_REASON = 60,
        EXIT_STATUS_INTERRUPTED =
                130, /* as shells report SIGINT: left without waiting for the end */
};

#define DEATH_REASON_SHUTDOWN 3

typedef struct DeathReason {
        int code;
        const char *name;
        const char *meaning;
} DeathReason;

extern const DeathReason death_reasons[];
extern const size_t n_death_reasons;

const DeathReason *death_reason_find(int64_t code);
int exit_status_for_reason(int64_t code);
