/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bytes of unknown origin made fit for terminals and JSON. */

#include <stddef.h>

#include "base/str.h"

size_t utf8_sequence_len(const unsigned char *bytes, size_t len);
void utf8_append_valid(StrBuf *buf, const void *bytes, size_t len);
void utf8_append_printable(StrBuf *buf, const char *text);
void utf8_append_cut(StrBuf *buf, const char *text, size_t columns);
size_t utf8_columns(const char *text);
