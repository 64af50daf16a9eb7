/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's output as lines fit for a log: valid UTF-8 without control characters and terminal sequences, none longer
 * than LINE_LOG_BYTES_MAX, and no more of them than two budgets allow: the stream's own, and one that all streams share.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/ratelimit.h"

#define LINE_LOG_BYTES_MAX 1024u
/* Lines of one stream in LINE_LOG_WINDOW_USEC; a Linux that boots says some 800. */
#define LINE_LOG_LINES_MAX 2000u
/* Lines of all streams of the daemon. */
#define LINE_LOG_ALL_LINES_MAX 20000u
#define LINE_LOG_WINDOW_USEC (10 * USEC_PER_SEC)

typedef enum LineKind {
        LINE_WHOLE,
        LINE_CUT,        /* goes on in the next one */
        LINE_UNFINISHED, /* the stream ended in it */
        LINE_SUPPRESSED, /* our own words: how many were not let through */
} LineKind;

/**
 * LineFn - takes a line
 * @line: terminated, not empty; borrowed
 *
 * Return: whether it was taken; if not it counts as suppressed.
 */
typedef bool (*LineFn)(void *userdata, LineKind kind, const char *line);

typedef struct LineLog {
        char line[LINE_LOG_BYTES_MAX]; /* the unfinished one, as the guest wrote it */
        size_t len;
        RateLimit limit;
        RateLimit *shared;        /* borrowed */
        unsigned long suppressed; /* since the last line that was let through */
        LineFn emit;
        void *userdata; /* borrowed */
} LineLog;

void line_log_init(LineLog *log, RateLimit *shared, LineFn emit, void *userdata);
void line_log_feed(LineLog *log, const char *bytes, size_t len, usec_t now_usec);
void line_log_end(LineLog *log, usec_t now_usec);
