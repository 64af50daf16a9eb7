/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048

static void log_to_stderr(LogLevel level, const char *vm, const char *line);

/* The process-wide log state is the one global that style allows. */
static _Atomic LogLevel log_threshold = LOG_LEVEL_INFO;
static _Atomic LogSink log_sink = log_to_stderr;
static const char *log_program = "vivarium";

static const struct {
        LogLevel level;
        const char *name;
} level_names[] = {
        {LOG_LEVEL_ERROR, "error"}, {LOG_LEVEL_WARNING, "warn"}, {LOG_LEVEL_NOTICE, "notice"},
        {LOG_LEVEL_INFO, "info"},   {LOG_LEVEL_DEBUG, "debug"},
};

static void log_to_stderr(LogLevel level, const char *vm, const char *line) {
        char buf[LOG_LINE_MAX + 128];
        int n = snprintf(buf, sizeof(buf), "%s: %s: %s%s%s\n", log_program,
                         log_level_to_string(level), vm ? vm : "", vm ? ": " : "", line);

        /* One write keeps lines of several threads and processes whole. */
        if (n > 0 && write(STDERR_FILENO, buf, MIN((size_t) n, sizeof(buf) - 1)) < 0)
                return; /* nowhere left to say so */
}

/** log_set_level() - drop lines less urgent than @level from now on; any thread */
void log_set_level(LogLevel level) {
        log_threshold = level;
}

LogLevel log_level(void) {
        return log_threshold;
}

bool log_enabled(LogLevel level) {
        return level <= log_threshold;
}

/** log_level_from_string() - "error", "warn", "notice", "info" or "debug". Return: 0 or -EINVAL. */
int log_level_from_string(const char *text, LogLevel *ret) {
        for (size_t i = 0; i < ELEMENTSOF(level_names); i++)
                if (strcmp(level_names[i].name, text) == 0) {
                        *ret = level_names[i].level;
                        return 0;
                }
        return -EINVAL;
}

const char *log_level_to_string(LogLevel level) {
        for (size_t i = 0; i < ELEMENTSOF(level_names); i++)
                if (level_names[i].level == level)
                        return level_names[i].name;
        return "debug";
}

/** log_set_sink() - replace the sink; NULL restores standard error. Call before starting threads. */
void log_set_sink(LogSink sink) {
        log_sink = sink ? sink : log_to_stderr;
}

/** log_set_program() - the prefix of lines on standard error; @name is borrowed for ever */
void log_set_program(const char *name) {
        log_program = name;
}

/**
 * log_line() - format one line and give it to the sink
 * @vm: name of the VM it is about, or NULL
 *
 * Control characters are replaced, because names and texts of guests and clients end up here.
 */
void log_line(LogLevel level, const char *vm, const char *format, ...) {
        char line[LOG_LINE_MAX];
        int saved = errno;
        va_list ap;

        if (!log_enabled(level))
                return;
        va_start(ap, format);
        (void) vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        for (char *p = line; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7f)
                        *p = '?';
        log_sink(level, vm, line);
        errno = saved;
}
