/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct json_object;

int json_add_consume(struct json_object *object, const char *key, struct json_object *value);
int json_text(struct json_object *json, char **ret);
