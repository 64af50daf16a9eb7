/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How often durations fell into fixed ranges. */

#include <stdint.h>

#include "base/clock.h"

#define HISTOGRAM_BUCKETS_MAX 12u

typedef struct Histogram {
        const usec_t *bounds; /* borrowed, ascending: the largest duration of each bucket */
        unsigned n_bounds;    /* at most HISTOGRAM_BUCKETS_MAX */
        uint64_t counts[HISTOGRAM_BUCKETS_MAX +
                        1]; /* the last one is for what is above all bounds */
        usec_t sum_usec;
        uint64_t n;
} Histogram;

void histogram_init(Histogram *histogram, const usec_t *bounds, unsigned n_bounds);
void histogram_add(Histogram *histogram, usec_t value);
