/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Leveled logging to one process-wide sink. Library folders log only at debug; an error is logged once, by the
 * function that stops forwarding it, as "act object: cause". errno is kept.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/* Numerically the syslog priorities, so that a sink can pass them on. */
typedef enum LogLevel {
        LOG_LEVEL_OFF = 0, /* as a threshold: nothing is that urgent */
        LOG_LEVEL_ERROR = 3,
        LOG_LEVEL_WARNING = 4,
        LOG_LEVEL_NOTICE = 5,
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7,
} LogLevel;

/**
 * LogSink - where lines go; called on any thread
 * @vm:   name of the VM the line is about, or NULL
 * @line: one line without its newline; borrowed for the call
 */
typedef void (*LogSink)(LogLevel level, const char *vm, const char *line);

#define LOG_RULES_MAX 16u
#define LOG_MODULE_MAX 48u

/*
 * A threshold of one module's own. A line's module is its source file, "vmm::virtio::blk" for vmm/virtio/blk.c; a rule
 * names it from any of its parts on: "vmm::virtio", "virtio" and "virtio::blk" all take it. The longest rule wins.
 */
typedef struct LogRule {
        char module[LOG_MODULE_MAX];
        LogLevel level;
} LogRule;

#define LOG_LINE_MAX 2048u                   /* bytes of a line; the rest is cut off */
#define LOG_FORMAT_MAX (LOG_LINE_MAX + 128u) /* with what stands before it */

size_t log_format(LogLevel level, const char *vm, const char *text, size_t len, char *buf,
                  size_t size);
void log_set_level(LogLevel level);
void log_set_rules(const LogRule *rules, size_t n);
LogLevel log_level(void);
bool log_enabled_at(const char *file, LogLevel level);
int log_level_from_string(const char *text, LogLevel *ret);
const char *log_level_to_string(LogLevel level);
void log_set_sink(LogSink sink);
void log_set_program(const char *name);
void log_line_at(const char *file, LogLevel level, const char *vm, const char *format, ...)
        _printf_(4, 5);

#define log_enabled(level) log_enabled_at(__FILE__, level)
#define log_line(level, vm, ...) log_line_at(__FILE__, level, vm, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)                                                                             \
        do {                                                                                       \
                if (log_enabled(LOG_LEVEL_DEBUG))                                                  \
                        log_line(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__);                              \
        } while (0)
