/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Writes metrics as text: the format that Prometheus calls 0.0.4, or OpenMetrics 1.0. A family is opened with its type
 * and help, and its samples follow; nothing is sorted or kept. Labels are made into text once for each thing that has
 * them, because every family repeats them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "service/metrics/histogram.h"

typedef enum ExpositionFormat {
        EXPOSITION_PROMETHEUS,
        EXPOSITION_OPENMETRICS,
} ExpositionFormat;

typedef enum MetricType {
        METRIC_COUNTER, /* its samples are called NAME_total */
        METRIC_GAUGE,   /* a number that goes up and down */
        METRIC_INFO,    /* labels, with the value 1; its sample is called NAME_info */
        METRIC_STATE_SET, /* one sample for each state, 1 for those that hold; a label is called NAME */
        METRIC_HISTOGRAM,
} MetricType;

typedef struct MetricFamily {
        const char *name; /* without the suffix that the type adds */
        const char *unit; /* "seconds", "bytes" or NULL; the name ends in it */
        const char *help; /* one line */
        MetricType type;
} MetricFamily;

typedef struct MetricLabel {
        const char *name;
        const char *value; /* UTF-8; escaped on writing */
} MetricLabel;

typedef struct Exposition {
        ExpositionFormat format;
        StrBuf text; /* owned */
        const MetricFamily *family;
} Exposition;

void exposition_deinit(Exposition *exposition);
void exposition_begin(Exposition *exposition, const MetricFamily *family);
void exposition_add_count(Exposition *exposition, const char *labels, uint64_t value);
void exposition_add_usec(Exposition *exposition, const char *labels, usec_t usec);
void exposition_add_state(Exposition *exposition, const char *labels, const char *state,
                          bool holds);
void exposition_add_histogram(Exposition *exposition, const Histogram *histogram);
int exposition_finish(Exposition *exposition, char **ret);
int metric_labels_format(const MetricLabel *labels, char **ret);
const char *exposition_content_type(ExpositionFormat format);
