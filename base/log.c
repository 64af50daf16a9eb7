/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void log_to_stderr(LogLevel level, const char *vm, const char *line);

/* The process-wide log state is the one global that style allows. */
static _Atomic LogLevel log_threshold = LOG_LEVEL_INFO;
static LogRule log_rules[LOG_RULES_MAX];
static size_t log_n_rules;
static _Atomic LogSink log_sink = log_to_stderr;
static const char *log_program = "vivarium";

static const struct {
        LogLevel level;
        const char *name;
} level_names[] = {
        {LOG_LEVEL_ERROR, "error"}, {LOG_LEVEL_WARNING, "warn"}, {LOG_LEVEL_NOTICE, "notice"},
        {LOG_LEVEL_INFO, "info"},   {LOG_LEVEL_DEBUG, "debug"},
};

static void replace_control_characters(char *text, size_t len) {
        for (size_t i = 0; i < len; i++)
                if ((unsigned char) text[i] < 0x20 || text[i] == 0x7f)
                        text[i] = '?';
}

/**
 * log_format() - a line as it is on standard error, with its newline, for whoever writes it there without waiting
 * @text: @len bytes, of a guest maybe: control characters are replaced
 * @size: of @buf; LOG_FORMAT_MAX has room for all
 *
 * Return: bytes in @buf.
 */
size_t log_format(LogLevel level, const char *vm, const char *text, size_t len, char *buf,
                  size_t size) {
        int n = snprintf(buf, size, "%s: %s: %s%s%.*s\n", log_program, log_level_to_string(level),
                         vm ? vm : "", vm ? ": " : "", (int) MIN(len, (size_t) LOG_LINE_MAX), text);
        const size_t written = n > 0 ? MIN((size_t) n, size - 1) : 0;

        if (written > 0)
                replace_control_characters(buf, written - 1);
        return written;
}

static void log_to_stderr(LogLevel level, const char *vm, const char *line) {
        char buf[LOG_FORMAT_MAX];
        const size_t n = log_format(level, vm, line, strlen(line), buf, sizeof(buf));

        /* One write keeps lines of several threads and processes whole. */
        if (write(STDERR_FILENO, buf, n) < 0)
                return; /* nowhere left to say so */
}

/** log_set_level() - drop lines less urgent than @level from now on; any thread */
void log_set_level(LogLevel level) {
        log_threshold = level;
}

/** log_level() - the general threshold; modules may have others */
LogLevel log_level(void) {
        return log_threshold;
}

/** log_set_rules() - thresholds of modules, @n at most LOG_RULES_MAX, in place of earlier ones. Before starting threads. */
void log_set_rules(const LogRule *rules, size_t n) {
        log_n_rules = MIN(n, (size_t) LOG_RULES_MAX);
        for (size_t i = 0; i < log_n_rules; i++)
                log_rules[i] = rules[i];
}

/* Whether @module, parts joined by "::", is the parts of the path @p up to its end or to one more part. */
static bool begins_with_module(const char *p, const char *module) {
        for (; *module; p++) {
                const bool joined = module[0] == ':' && module[1] == ':';

                if (joined ? *p != '/' : *p != *module)
                        return false;
                module += joined ? 2 : 1;
        }
        return *p == '\0' || *p == '/' || *p == '.';
}

static bool in_module(const char *file, const char *module) {
        for (const char *part = file; part; part = strchr(part, '/')) {
                part += *part == '/';
                if (begins_with_module(part, module))
                        return true;
        }
        return false;
}

/** log_enabled_at() - whether lines of the source file @file get through at @level; any thread */
bool log_enabled_at(const char *file, LogLevel level) {
        LogLevel threshold = log_threshold;
        size_t longest = 0;

        for (size_t i = 0; i < log_n_rules; i++) {
                size_t len = strlen(log_rules[i].module);

                if (len > longest && in_module(file, log_rules[i].module)) {
                        longest = len;
                        threshold = log_rules[i].level;
                }
        }
        return level <= threshold;
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

/** log_level_to_string() - the name that log_level_from_string() takes; static */
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
 * log_line_at() - format one line and give it to the sink
 * @file: the source file that it comes from; the macros fill it in
 * @vm:   name of the VM it is about, or NULL
 *
 * Control characters are replaced, because names and texts of guests and clients end up here.
 */
void log_line_at(const char *file, LogLevel level, const char *vm, const char *format, ...) {
        char line[LOG_LINE_MAX];
        int saved = errno;
        va_list ap;

        if (!log_enabled_at(file, level))
                return;
        va_start(ap, format);
        (void) vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        replace_control_characters(line, strlen(line));
        log_sink(level, vm, line);
        errno = saved;
}
