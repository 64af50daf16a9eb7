/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/json_scan.h"

/** json_free() - drop the caller's reference to a tree */
struct json_object *json_free(struct json_object *json) {
        (void) json_object_put(json);
        return NULL;
}

/**
 * json_parse() - strict text to tree
 * @max_len: the most bytes that are accepted, at most INT_MAX
 * @ret:     owned by the caller; NULL for the value null
 *
 * Return: 0; -E2BIG; -EINVAL with "PATH: line L column C: …" in @reterr; -ENOMEM.
 */
int json_parse(const char *text, size_t max_len, struct json_object **ret, TextError *reterr) {
        size_t len = strnlen(text, max_len + 1);
        struct json_tokener *tokener;
        struct json_object *json;
        enum json_tokener_error e;
        int r;

        if (len > max_len)
                return text_error_set(reterr, -E2BIG, "config: longer than %zu bytes", max_len);
        r = json_scan(text, len, reterr);
        if (r < 0)
                return r;
        tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 1);
        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        json = json_tokener_parse_ex(tokener, text,
                                     (int) len + 1); /* with the NUL: it ends numbers */
        e = json_tokener_get_error(tokener);
        json_tokener_free(tokener);
        if (e != json_tokener_success)
                return text_error_set(reterr, -EINVAL, "config: %s", json_tokener_error_desc(e));
        *ret = json;
        return 0;
}

/** json_error() - "PATH: text". Return: -EINVAL. */
int json_error(const JsonValue *value, TextError *reterr, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return text_error_set(reterr, -EINVAL, "%s: %s", *value->path ? value->path : "config",
                              text);
}

/** json_is_null() - whether @value is null */
bool json_is_null(const JsonValue *value) {
        return !value->json;
}

static int expect(const JsonValue *value, enum json_type type, const char *name,
                  TextError *reterr) {
        if (json_object_is_type(value->json, type))
                return 0;
        return json_error(value, reterr, "expected %s, not %s", name,
                          json_type_to_name(json_object_get_type(value->json)));
}

static int child_path(const JsonValue *parent, const char *key, size_t index, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_append(&buf, parent->path);
        if (key)
                json_path_add_key(&buf, key);
        else
                json_path_add_index(&buf, index);
        return strbuf_finish(&buf, ret);
}

static const JsonField *find_field(const JsonField *fields, size_t n, const char *key) {
        for (size_t i = 0; i < n; i++)
                if (str_eq(fields[i].key, key))
                        return &fields[i];
        return NULL;
}

/**
 * json_read_object() - hand every member to the field of its key, in the order of the text
 *
 * Return: 0; -EINVAL with "PATH: …" in @reterr when @value is no object or has a key that is not in @fields; the
 * first error of a field.
 */
int json_read_object(const JsonValue *value, const JsonField *fields, size_t n_fields, void *object,
                     TextError *reterr) {
        int r;

        r = expect(value, json_type_object, "an object", reterr);
        if (r < 0)
                return r;
        json_object_object_foreach(value->json, key, json) {
                const JsonField *field = find_field(fields, n_fields, key);
                _cleanup_(freep) char *path = NULL;
                JsonValue member;

                r = child_path(value, key, 0, &path);
                if (r < 0)
                        return r;
                member = (JsonValue){json, path};
                if (!field)
                        return json_error(&member, reterr, "unknown key");
                r = field->read(&member, field, object, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/** json_has_member() - whether the object @value has @key, even with the value null */
bool json_has_member(const JsonValue *value, const char *key) {
        return json_object_is_type(value->json, json_type_object) &&
               json_object_object_get_ex(value->json, key, NULL);
}

/** json_array_length() - the number of elements, an error when @value is no array */
int json_array_length(const JsonValue *value, size_t *ret, TextError *reterr) {
        int r = expect(value, json_type_array, "an array", reterr);

        if (r < 0)
                return r;
        *ret = json_object_array_length(value->json);
        return 0;
}

/** json_read_array() - hand every element to @fn, at most @max of them */
int json_read_array(const JsonValue *value, size_t max, JsonElementFn fn, void *object,
                    TextError *reterr) {
        size_t n;
        int r;

        r = json_array_length(value, &n, reterr);
        if (r < 0)
                return r;
        if (n > max)
                return json_error(value, reterr, "expected at most %zu elements, not %zu", max, n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_(freep) char *path = NULL;
                JsonValue element;

                r = child_path(value, NULL, i, &path);
                if (r < 0)
                        return r;
                element = (JsonValue){json_object_array_get_idx(value->json, i), path};
                r = fn(&element, object, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/** json_read_bool() - a boolean. Return: 0; -EINVAL with a sentence. */
int json_read_bool(const JsonValue *value, bool *ret, TextError *reterr) {
        int r = expect(value, json_type_boolean, "true or false", reterr);

        if (r < 0)
                return r;
        *ret = json_object_get_boolean(value->json);
        return 0;
}

/* json-c saturates integers; a bound at the very end of the type would let them through. */
/** json_read_i64() - an integer from @min to @max, both included and inside the type's own ends */
int json_read_i64(const JsonValue *value, int64_t min, int64_t max, int64_t *ret,
                  TextError *reterr) {
        int64_t n;
        int r;

        r = expect(value, json_type_int, "an integer", reterr);
        if (r < 0)
                return r;
        n = json_object_get_int64(value->json);
        if (n < min || n > max)
                return json_error(value, reterr,
                                  "expected an integer from %" PRId64 " to %" PRId64 ", not %s",
                                  min, max, json_object_get_string(value->json));
        *ret = n;
        return 0;
}

/** json_read_string() - the text, borrowed from the tree; it has no NUL, since json_parse() refuses them */
int json_read_string(const JsonValue *value, const char **ret, TextError *reterr) {
        int r = expect(value, json_type_string, "a string", reterr);

        if (r < 0)
                return r;
        *ret = json_object_get_string(value->json);
        return 0;
}

/** json_read_choice() - the index of a string among @names */
int json_read_choice(const JsonValue *value, const char *const *names, size_t n_names,
                     unsigned *ret, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf list = {0};
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_names; i++) {
                if (str_eq(names[i], text)) {
                        *ret = (unsigned) i;
                        return 0;
                }
                strbuf_printf(&list, "%s\"%s\"", i == 0 ? "" : " or ", names[i]);
        }
        return json_error(value, reterr, "expected %s, not \"%.*s\"", list.data ?: "",
                          JSON_SHOWN(text));
}
