/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A sentence for a person beside a negative errno: used where a human reads the result (configuration, command
 * lines, launching, loading a kernel). The innermost function that knows the object and cause sets it.
 */

#include "base/cleanup.h"

typedef struct TextError {
        char *message; /* owned; NULL while unset or when memory ran out */
} TextError;

int text_error_set(TextError *error, int r, const char *format, ...) _printf_(3, 4);
int text_error_prefix(TextError *error, int r, const char *format, ...) _printf_(3, 4);
const char *text_error_message(const TextError *error, int r);
void text_error_deinit(TextError *error);
