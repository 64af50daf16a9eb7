/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Typed, strict reading of a JSON tree: every value carries its path, and every error begins with it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "base/text_error.h"
#include "config/utf8.h"

/* A string out of the text, in a sentence: "%.*s" and JSON_SHOWN(text). */
#define JSON_SHOWN_MAX 64u
#define JSON_SHOWN(text) (int) utf8_cut((text), JSON_SHOWN_MAX), (text)

struct json_object;

typedef struct JsonValue {
        struct json_object *json; /* borrowed; NULL is JSON's null */
        const char *path;         /* borrowed, e.g. "disks[1].image"; "" for the root */
} JsonValue;

typedef struct JsonField JsonField;

/* One key of an object. */
struct JsonField {
        const char *key;
        /* Stores the member in @object, which json_read_object() was given. */
        int (*read)(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr);
        size_t offset; /* for @read's own use */
        unsigned data;
};

typedef int (*JsonElementFn)(const JsonValue *value, void *object, TextError *reterr);

int json_parse(const char *text, size_t max_len, struct json_object **ret, TextError *reterr);
struct json_object *json_free(struct json_object *json);
DEFINE_CLEANUP(struct json_object *, json_free)

int json_error(const JsonValue *value, TextError *reterr, const char *format, ...) _printf_(3, 4);
bool json_is_null(const JsonValue *value);
int json_read_object(const JsonValue *value, const JsonField *fields, size_t n_fields, void *object,
                     TextError *reterr);
bool json_has_member(const JsonValue *value, const char *key);
int json_read_array(const JsonValue *value, size_t max, JsonElementFn fn, void *object,
                    TextError *reterr);
int json_array_length(const JsonValue *value, size_t *ret, TextError *reterr);
int json_read_bool(const JsonValue *value, bool *ret, TextError *reterr);
int json_read_i64(const JsonValue *value, int64_t min, int64_t max, int64_t *ret,
                  TextError *reterr);
int json_read_string(const JsonValue *value, const char **ret, TextError *reterr);
int json_read_choice(const JsonValue *value, const char *const *names, size_t n_names,
                     unsigned *ret, TextError *reterr);
