/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Trees of json-c, built member by member. Values are the tree's from the call on, whether it succeeds or not. */

#include <stdbool.h>
#include <stdint.h>

struct json_object;

int json_add_consume(struct json_object *object, const char *key, struct json_object *value);
int json_add_string(struct json_object *object, const char *key, const char *text);
int json_add_number(struct json_object *object, const char *key, uint64_t number);
int json_add_bool(struct json_object *object, const char *key, bool on);
int json_append_consume(struct json_object *array, struct json_object *value);
int json_add_count(struct json_object *object, const char *key, uint64_t value);
int json_text(struct json_object *json, char **ret);
