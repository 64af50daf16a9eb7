/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/value.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "dbus/client/utf8.h"

/** value_free() - release @value and all below it. Return: NULL. */
Value *value_free(Value *value) {
        if (!value)
                return NULL;
        for (size_t i = 0; i < value->n_members; i++)
                (void) value_free(value->members[i]);
        free(value->members);
        free(value->string);
        free(value->key);
        free(value);
        return NULL;
}

/** value_new() - a zero, false, empty text or empty container. Return: 0 or -ENOMEM. */
int value_new(ValueType type, Value **ret) {
        Value *value = calloc(1, sizeof(*value));

        if (!value)
                return -ENOMEM;
        value->type = type;
        if (type == VALUE_STRING) {
                value->string = strdup("");
                if (!value->string) {
                        free(value);
                        return -ENOMEM;
                }
        }
        *ret = value;
        return 0;
}

/**
 * value_new_text() - a text from bytes of any origin
 *
 * Guests write consoles: what is no valid UTF-8, and NUL, becomes U+FFFD, so that every output format can carry it.
 * Return: 0 or -ENOMEM.
 */
int value_new_text(const void *bytes, size_t len, Value **ret) {
        _cleanup_(value_freep) Value *value = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r;

        value = calloc(1, sizeof(*value));
        if (!value)
                return -ENOMEM;
        value->type = VALUE_STRING;
        utf8_append_valid(&text, bytes, len);
        r = strbuf_finish(&text, &value->string);
        if (r < 0)
                return r;
        *ret = TAKE(value);
        return 0;
}

/**
 * value_append_consume() - add @member at the end of an array, or of an object under @key
 * @key:    copied; NULL for arrays
 * @member: owned by @container from now on, released on failure; NULL is an allocation that failed
 *
 * Return: 0 or -ENOMEM.
 */
int value_append_consume(Value *container, const char *key, Value *member) {
        _cleanup_(value_freep) Value *owned = member;

        if (!owned)
                return -ENOMEM;
        if (key) {
                owned->key = strdup(key);
                if (!owned->key)
                        return -ENOMEM;
        }
        if (container->n_members == container->room) {
                size_t room = container->room ? container->room * 2 : 8;
                Value **grown = reallocarray(container->members, room, sizeof(Value *));

                if (!grown)
                        return -ENOMEM;
                container->members = grown;
                container->room = room;
        }
        container->members[container->n_members++] = TAKE(owned);
        return 0;
}

/** value_add_string() - add a text to an object. Return: 0 or -ENOMEM. */
int value_add_string(Value *object, const char *key, const char *text) {
        Value *member;
        int r = value_new_text(text, strlen(text), &member);

        return r < 0 ? r : value_append_consume(object, key, member);
}

/** value_add_uint() - add a number to an object. Return: 0 or -ENOMEM. */
int value_add_uint(Value *object, const char *key, uint64_t number) {
        Value *member;
        int r = value_new(VALUE_UINT, &member);

        if (r < 0)
                return r;
        member->number = number;
        return value_append_consume(object, key, member);
}

/** value_get() - the member @key of an object, borrowed, or NULL; @object may be NULL */
const Value *value_get(const Value *object, const char *key) {
        if (!object || object->type != VALUE_OBJECT)
                return NULL;
        for (size_t i = 0; i < object->n_members; i++)
                if (str_eq(object->members[i]->key, key))
                        return object->members[i];
        return NULL;
}

/** value_get_string() - the text of member @key, borrowed; "" when absent or no text */
const char *value_get_string(const Value *object, const char *key) {
        const Value *member = value_get(object, key);

        return member && member->type == VALUE_STRING ? member->string : "";
}

/** value_get_uint() - the number of member @key, or @otherwise when absent, negative or no number */
uint64_t value_get_uint(const Value *object, const char *key, uint64_t otherwise) {
        const Value *member = value_get(object, key);

        if (member && member->type == VALUE_UINT)
                return member->number;
        if (member && member->type == VALUE_INT && member->integer >= 0)
                return (uint64_t) member->integer;
        return otherwise;
}

/** value_get_int() - as value_get_uint(), for numbers with a sign */
int64_t value_get_int(const Value *object, const char *key, int64_t otherwise) {
        const Value *member = value_get(object, key);

        if (member && member->type == VALUE_INT)
                return member->integer;
        if (member && member->type == VALUE_UINT && member->number <= INT64_MAX)
                return (int64_t) member->number;
        return otherwise;
}

/** value_get_bool() - whether member @key is there and true */
bool value_get_bool(const Value *object, const char *key) {
        const Value *member = value_get(object, key);

        return member && member->type == VALUE_BOOL && member->boolean;
}
