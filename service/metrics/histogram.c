/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/histogram.h"

#include <assert.h>

/** histogram_init() - an empty histogram; @bounds must outlive it */
void histogram_init(Histogram *histogram, const usec_t *bounds, unsigned n_bounds) {
        assert(n_bounds <= HISTOGRAM_BUCKETS_MAX);
        *histogram = (Histogram){.bounds = bounds, .n_bounds = n_bounds};
}

/** histogram_add() - count one duration */
void histogram_add(Histogram *histogram, usec_t value) {
        unsigned i = 0;

        while (i < histogram->n_bounds && value > histogram->bounds[i])
                i++;
        histogram->counts[i]++;
        histogram->sum_usec += value;
        histogram->n++;
}
