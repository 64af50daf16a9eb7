/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How much of its memory a guest is asked for when the host is short of it. Pure: the clock, the host's pressure and the
 * guest's account are inputs.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Android's levels, in the order of what they cost the guest. */
typedef enum TrimLevel {
        TRIM_NONE,
        TRIM_MODERATE, /* 10 % of the memory that the guest reports */
        TRIM_LOW,      /* 30 % */
        TRIM_CRITICAL, /* 50 % */
} TrimLevel;

/* What the guest tells of its memory, and what it was asked for; bytes. */
typedef struct TrimGuest {
        uint64_t memory;           /* that the VM has: what the guest tells is no more */
        uint64_t total, available; /* TRIM_UNKNOWN: it does not tell */
        uint64_t given;            /* it has given up by now */
        uint64_t asked,
                own_choice; /* by whomever, and by the VM's owner, who is never asked for less */
} TrimGuest;

#define TRIM_UNKNOWN UINT64_MAX

/* The host's pressure over time; zero but for the interval to begin with. */
typedef struct TrimPolicy {
        usec_t interval_usec; /* between two decisions */
        usec_t decided_usec;  /* the last one; 0: none yet */
        TrimLevel level;
        bool full; /* the last one was because every task waited */
} TrimPolicy;

#define TRIM_INTERVAL_USEC (22 * USEC_PER_SEC)

int trim_level_from_string(const char *text, TrimLevel *ret);
const char *trim_level_to_string(TrimLevel level);

bool trim_policy_press(TrimPolicy *policy, usec_t now, uint32_t full_centi);
bool trim_policy_relax(TrimPolicy *policy, usec_t now, uint32_t some_centi);

int trim_to_level(const TrimGuest *guest, TrimLevel level, uint64_t *ret);
int trim_by_pressure(const TrimGuest *guest, TrimLevel level, bool rising, uint64_t *ret);
