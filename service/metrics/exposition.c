/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/exposition.h"

#include <inttypes.h>

#include "base/clock.h"

/** exposition_deinit() - release the text; the exposition is empty again */
void exposition_deinit(Exposition *exposition) {
        strbuf_deinit(&exposition->text);
        *exposition = (Exposition){.format = exposition->format};
}

/** exposition_content_type() - what HTTP calls the format */
const char *exposition_content_type(ExpositionFormat format) {
        return format == EXPOSITION_OPENMETRICS
                       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}

/* What the samples of a family have behind its name. */
static const char *sample_suffix(MetricType type) {
        switch (type) {
        case METRIC_COUNTER:
                return "_total";
        case METRIC_INFO:
                return "_info";
        case METRIC_GAUGE:
        case METRIC_STATE_SET:
        case METRIC_HISTOGRAM:
                return "";
        }
        return "";
}

/* The old format has no infos and no state sets: both are gauges there. */
static const char *type_name(MetricType type, ExpositionFormat format) {
        switch (type) {
        case METRIC_COUNTER:
                return "counter";
        case METRIC_HISTOGRAM:
                return "histogram";
        case METRIC_INFO:
                return format == EXPOSITION_OPENMETRICS ? "info" : "gauge";
        case METRIC_STATE_SET:
                return format == EXPOSITION_OPENMETRICS ? "stateset" : "gauge";
        case METRIC_GAUGE:
                return "gauge";
        }
        return "unknown";
}

/**
 * exposition_begin() - open a family; the samples that follow are of it
 * @family: borrowed until the next family is opened
 *
 * The old format names a family as its samples are named, OpenMetrics without the suffix.
 */
void exposition_begin(Exposition *exposition, const MetricFamily *family) {
        const bool open = exposition->format == EXPOSITION_OPENMETRICS;
        const char *suffix = open ? "" : sample_suffix(family->type);
        StrBuf *text = &exposition->text;

        exposition->family = family;
        strbuf_printf(text, "# HELP %s%s %s\n", family->name, suffix, family->help);
        strbuf_printf(text, "# TYPE %s%s %s\n", family->name, suffix,
                      type_name(family->type, exposition->format));
        if (open && family->unit)
                strbuf_printf(text, "# UNIT %s %s\n", family->name, family->unit);
}

static void append_escaped(StrBuf *text, const char *value) {
        for (const char *p = value; *p; p++)
                switch (*p) {
                case '\\':
                        strbuf_append(text, "\\\\");
                        break;
                case '"':
                        strbuf_append(text, "\\\"");
                        break;
                case '\n':
                        strbuf_append(text, "\\n");
                        break;
                default:
                        strbuf_append_bytes(text, p, 1);
                }
}

/**
 * metric_labels_format() - labels as they stand in a sample
 * @labels: ends with a name that is NULL
 * @ret:    set on success only; owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int metric_labels_format(const MetricLabel *labels, char **ret) {
        StrBuf text = {0};

        for (const MetricLabel *label = labels; label->name; label++) {
                strbuf_printf(&text, "%s%s=\"", label == labels ? "" : ",", label->name);
                append_escaped(&text, label->value);
                strbuf_append(&text, "\"");
        }
        return strbuf_finish(&text, ret);
}

static void begin_sample(Exposition *exposition, const char *labels, const char *state) {
        const MetricFamily *family = exposition->family;
        StrBuf *text = &exposition->text;

        strbuf_append(text, family->name);
        strbuf_append(text, sample_suffix(family->type));
        if (labels || state) {
                strbuf_append(text, "{");
                strbuf_append(text, labels ? labels : "");
                /* The specification's own label for the states of a set. */
                if (state)
                        strbuf_printf(text, "%s%s=\"%s\"", labels ? "," : "", family->name, state);
                strbuf_append(text, "}");
        }
        strbuf_append(text, " ");
}

/**
 * exposition_add_count() - a sample of the open family
 * @labels: from metric_labels_format(); NULL for none
 */
void exposition_add_count(Exposition *exposition, const char *labels, uint64_t value) {
        begin_sample(exposition, labels, NULL);
        strbuf_printf(&exposition->text, "%" PRIu64 "\n", value);
}

/** exposition_add_state() - one state of the open family, which is a state set; @state needs no escaping */
void exposition_add_state(Exposition *exposition, const char *labels, const char *state,
                          bool holds) {
        begin_sample(exposition, labels, state);
        strbuf_append(&exposition->text, holds ? "1\n" : "0\n");
}

static void append_seconds(StrBuf *text, usec_t usec) {
        strbuf_printf(text, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC, usec % USEC_PER_SEC);
}

/** exposition_add_usec() - a sample that is written in seconds; else as exposition_add_count() */
void exposition_add_usec(Exposition *exposition, const char *labels, usec_t usec) {
        begin_sample(exposition, labels, NULL);
        append_seconds(&exposition->text, usec);
        strbuf_append(&exposition->text, "\n");
}

/** exposition_add_histogram() - all samples of the open family, which is a histogram without labels, in seconds */
void exposition_add_histogram(Exposition *exposition, const Histogram *histogram) {
        const char *name = exposition->family->name;
        StrBuf *text = &exposition->text;
        uint64_t n = 0;

        for (unsigned i = 0; i < histogram->n_bounds; i++) {
                n += histogram->counts[i];
                strbuf_printf(text, "%s_bucket{le=\"", name);
                append_seconds(text, histogram->bounds[i]);
                strbuf_printf(text, "\"} %" PRIu64 "\n", n);
        }
        strbuf_printf(text, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->n);
        strbuf_printf(text, "%s_sum ", name);
        append_seconds(text, histogram->sum_usec);
        strbuf_printf(text, "\n%s_count %" PRIu64 "\n", name, histogram->n);
}

/**
 * exposition_finish() - the whole text
 * @ret: set on success only; owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int exposition_finish(Exposition *exposition, char **ret) {
        if (exposition->format == EXPOSITION_OPENMETRICS)
                strbuf_append(&exposition->text, "# EOF\n");
        return strbuf_finish(&exposition->text, ret);
}
