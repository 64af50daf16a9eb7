/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF; a NUL is never text here. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const char *text, size_t len);
size_t utf8_cut(const char *text, size_t max);
int utf8_to_utf16(const char *text, uint16_t *ret, size_t max_units, size_t *ret_units);
