/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* "Did you mean …": the nearest of some candidates to what was typed. */

#include <stddef.h>

typedef struct Suggestion {
        const char *text; /* borrowed; NULL while nothing is near enough */
        unsigned distance;
} Suggestion;

void suggestion_offer(Suggestion *best, const char *typed, size_t len, const char *candidate);
