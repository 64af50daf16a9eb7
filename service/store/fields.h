/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is written down for the next daemon: named values, in order, as lines KEY=VALUE. A reader takes the names it
 * knows and passes over the others, so that daemons of other versions understand each other's files.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

typedef struct Field {
        char *key;   /* owned; of A-Z a-z 0-9 _ . and - */
        char *value; /* owned; any bytes, NUL-terminated besides */
        size_t len;
} Field;

/* Zero-initialised is empty. A failure to allocate sticks in @failed and is told by fields_encode(). */
typedef struct Fields {
        Field *items; /* owned array */
        size_t n, room;
        bool failed;
} Fields;

void fields_deinit(Fields *fields);

void fields_set_bytes(Fields *fields, const char *key, const void *value, size_t len);
void fields_set(Fields *fields, const char *key, const char *value);
void fields_set_u64(Fields *fields, const char *key, uint64_t value);

const char *fields_get(const Fields *fields, const char *key);
const Field *fields_find(const Fields *fields, const char *key);
uint64_t fields_get_u64(const Fields *fields, const char *key, uint64_t otherwise);

int fields_encode(const Fields *fields, StrBuf *out);
int fields_decode(const char *text, size_t len, Fields *ret);
