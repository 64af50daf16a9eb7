/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What came over the bus, as a tree: read once, then printed as a table, as key: value lines or as JSON. Members of
 * an object keep their order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef enum ValueType {
        VALUE_BOOL,
        VALUE_INT,
        VALUE_UINT,
        VALUE_DOUBLE,
        VALUE_STRING,
        VALUE_ARRAY,
        VALUE_OBJECT,
} ValueType;

typedef struct Value Value;
struct Value {
        ValueType type;
        char *key; /* owned; set for members of an object */
        union {
                bool boolean;
                int64_t integer;
                uint64_t number;
                double real;
        };
        char *string;    /* owned; VALUE_STRING: valid UTF-8, never NULL */
        Value **members; /* owned array of owned; VALUE_ARRAY and VALUE_OBJECT */
        size_t n_members, room;
};

Value *value_free(Value *value);
DEFINE_CLEANUP(Value *, value_free)

int value_new(ValueType type, Value **ret);
int value_new_text(const void *bytes, size_t len, Value **ret);
int value_append_consume(Value *container, const char *key, Value *member);
int value_add_string(Value *object, const char *key, const char *text);
int value_add_uint(Value *object, const char *key, uint64_t number);

const Value *value_get(const Value *object, const char *key);
const char *value_get_string(const Value *object, const char *key);
uint64_t value_get_uint(const Value *object, const char *key, uint64_t otherwise);
int64_t value_get_int(const Value *object, const char *key, int64_t otherwise);
bool value_get_bool(const Value *object, const char *key);
