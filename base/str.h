/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Growing strings, string vectors and strict number parsing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* A growing NUL-terminated string. Zero-initialised is empty and valid; an allocation failure sticks in @failed. */
typedef struct StrBuf {
        char *data; /* owned, NULL while empty */
        size_t len; /* bytes before the terminator */
        size_t room;
        bool failed;
} StrBuf;

void strbuf_deinit(StrBuf *buf);
void strbuf_append(StrBuf *buf, const char *text);
void strbuf_append_bytes(StrBuf *buf, const void *data, size_t len);
void strbuf_printf(StrBuf *buf, const char *format, ...) _printf_(2, 3);
int strbuf_finish(StrBuf *buf, char **ret);

/* A growing NULL-terminated vector of owned strings. Zero-initialised is empty. */
typedef struct StrVec {
        char **items; /* owned, NULL while empty; items[n] is NULL */
        size_t n;
        size_t room;
} StrVec;

void strvec_deinit(StrVec *vec);
int strvec_add(StrVec *vec, const char *text);
int strvec_add_consume(StrVec *vec, char *text);
int strvec_addf(StrVec *vec, const char *format, ...) _printf_(2, 3);

int parse_u64(const char *text, uint64_t *ret);
int parse_u32(const char *text, uint32_t *ret);
int parse_fd(const char *text, int *ret);

static inline bool str_eq(const char *a, const char *b) {
        return __builtin_strcmp(a, b) == 0;
}

const char *str_after_prefix(const char *text, const char *prefix);
