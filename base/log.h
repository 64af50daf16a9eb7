/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Leveled logging to one process-wide sink. Library folders log only at debug; an error is logged once, by the
 * function that stops forwarding it, as "act object: cause". errno is kept.
 */

#include <stdarg.h>
#include <stdbool.h>

#include "base/cleanup.h"

/* Numerically the syslog priorities, so that a sink can pass them on. */
typedef enum LogLevel {
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

void log_set_level(LogLevel level);
LogLevel log_level(void);
bool log_enabled(LogLevel level);
int log_level_from_string(const char *text, LogLevel *ret);
const char *log_level_to_string(LogLevel level);
void log_set_sink(LogSink sink);
void log_set_program(const char *name);
void log_line(LogLevel level, const char *vm, const char *format, ...) _printf_(3, 4);

#define log_error(...) log_line(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, NULL, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...)                                                                             \
        do {                                                                                       \
                if (log_enabled(LOG_LEVEL_DEBUG))                                                  \
                        log_line(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__);                              \
        } while (0)
