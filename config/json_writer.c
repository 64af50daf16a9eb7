/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json_writer.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/** json_add_consume() - give @value, owned from now on, to @object; NULL is want of memory. Return: 0 or -ENOMEM. */
int json_add_consume(struct json_object *object, const char *key, struct json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(object, key, value) < 0) {
                (void) json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

/** json_add_string() - a text member; without @text there is none. Return: 0 or -ENOMEM. */
int json_add_string(struct json_object *object, const char *key, const char *text) {
        return text ? json_add_consume(object, key, json_object_new_string(text)) : 0;
}

/** json_add_number() - a member of 0 to 2^63 - 1. Return: 0 or -ENOMEM. */
int json_add_number(struct json_object *object, const char *key, uint64_t number) {
        return json_add_consume(object, key, json_object_new_int64((int64_t) number));
}

/** json_add_bool() - true or false. Return: 0 or -ENOMEM. */
int json_add_bool(struct json_object *object, const char *key, bool on) {
        return json_add_consume(object, key, json_object_new_boolean(on));
}

/** json_append_consume() - give @value, owned from now on, to @array; NULL is want of memory. Return: 0 or -ENOMEM. */
int json_append_consume(struct json_object *array, struct json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_array_add(array, value) < 0) {
                (void) json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

/** json_add_count() - add a number to @object; UINT64_MAX is null, for it is not known. Return: 0 or -ENOMEM. */
int json_add_count(struct json_object *object, const char *key, uint64_t value) {
        if (value == UINT64_MAX)
                return json_object_object_add(object, key, NULL) < 0 ? -ENOMEM : 0;
        return json_add_consume(object, key, json_object_new_uint64(value));
}

/** json_text() - a tree as text on one line; owned by the caller. Return: 0 or -ENOMEM. */
int json_text(struct json_object *json, char **ret) {
        const char *text = json_object_to_json_string_ext(
                json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}
