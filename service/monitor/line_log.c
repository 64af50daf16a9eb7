/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/line_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/text.h"

#define ESCAPE '\x1b'

/** line_log_init() - @shared and @userdata outlive @log; there is nothing to release */
void line_log_init(LineLog *log, RateLimit *shared, LineFn emit, void *userdata) {
        *log = (LineLog){
                .limit = {.interval_usec = LINE_LOG_WINDOW_USEC, .burst = LINE_LOG_LINES_MAX},
                .shared = shared,
                .emit = emit,
                .userdata = userdata};
}

/* A control sequence's parameters end at a byte from @ to ~, an operating system command at BEL or ESC \. */
static size_t sequence_length(const char *p, size_t len) {
        if (len < 2)
                return len;
        if (p[1] == '[') {
                for (size_t i = 2; i < len; i++)
                        if (p[i] >= 0x40 && p[i] <= 0x7e)
                                return i + 1;
                return len;
        }
        if (p[1] == ']') {
                for (size_t i = 2; i < len; i++)
                        if (p[i] == '\a' || p[i] == ESCAPE)
                                return p[i] == ESCAPE && i + 1 < len ? i + 2 : i + 1;
                return len;
        }
        /* One of two bytes, or of three that choose a character set. */
        return strchr("()*+#%", p[1]) && p[1] != '\0' && len > 2 ? 3 : 2;
}

/* What colours a terminal is no text. Return: the new length. */
static size_t strip_sequences(char *text, size_t len) {
        size_t out = 0;

        for (size_t i = 0; i < len;) {
                if (text[i] == ESCAPE) {
                        i += sequence_length(text + i, len - i);
                        continue;
                }
                text[out++] = text[i++];
        }
        return out;
}

/* Both budgets pay, the own one first: a stream that has used up its own costs the others nothing. */
static bool may_pass(LineLog *log, usec_t now_usec) {
        return ratelimit_allow(&log->limit, now_usec) && ratelimit_allow(log->shared, now_usec);
}

static void tell_suppressed(LineLog *log) {
        char text[64];

        if (log->suppressed == 0)
                return;
        (void) snprintf(text, sizeof(text), "%lu lines suppressed", log->suppressed);
        if (log->emit(log->userdata, LINE_SUPPRESSED, text))
                log->suppressed = 0;
}

/* The first @n bytes are a line. */
static void emit(LineLog *log, LineKind kind, size_t n, usec_t now_usec) {
        _cleanup_(freep) char *text = NULL;

        n = strip_sequences(log->line, n);
        if (n == 0)
                return;
        if (!may_pass(log, now_usec)) {
                log->suppressed++;
                return;
        }
        tell_suppressed(log);
        if (text_sanitize(log->line, n, &text) < 0 || !log->emit(log->userdata, kind, text))
                log->suppressed++;
}

/* Where a full line is cut: not within a character. */
static size_t cut_at(const LineLog *log) {
        size_t n = log->len;

        for (unsigned back = 0; back < 3 && ((unsigned char) log->line[n - 1] & 0xc0) == 0x80;
             back++)
                n--;
        if (((unsigned char) log->line[n - 1] & 0xc0) == 0xc0)
                n--;
        else
                n = log->len;
        return n;
}

static void cut_line(LineLog *log, usec_t now_usec) {
        char rest[4];
        size_t n = cut_at(log), n_rest = log->len - n;

        memcpy(rest, log->line + n, n_rest);
        emit(log, LINE_CUT, n, now_usec);
        memcpy(log->line, rest, n_rest);
        log->len = n_rest;
}

/**
 * line_log_feed() - more output; a line ends at a newline or a carriage return, empty ones are passed over
 * @now_usec: CLOCK_MONOTONIC
 */
void line_log_feed(LineLog *log, const char *bytes, size_t len, usec_t now_usec) {
        for (size_t i = 0; i < len; i++) {
                if (bytes[i] == '\n' || bytes[i] == '\r') {
                        emit(log, LINE_WHOLE, log->len, now_usec);
                        log->len = 0;
                        continue;
                }
                if (log->len == sizeof(log->line))
                        cut_line(log, now_usec);
                log->line[log->len++] = bytes[i];
        }
}

/** line_log_end() - nothing follows: tell the unfinished line, and what was suppressed */
void line_log_end(LineLog *log, usec_t now_usec) {
        emit(log, LINE_UNFINISHED, log->len, now_usec);
        log->len = 0;
        tell_suppressed(log);
}
