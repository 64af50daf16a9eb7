/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than any daemon writes; a file with more is damaged or hostile. */
#define FIELDS_MAX 4096u
#define KEY_MAX 64u

/** fields_deinit() - release all fields; the set is empty again */
void fields_deinit(Fields *fields) {
        for (size_t i = 0; i < fields->n; i++) {
                free(fields->items[i].key);
                free(fields->items[i].value);
        }
        free(fields->items);
        *fields = (Fields){0};
}

static bool key_is_valid(const char *key, size_t len) {
        return len > 0 && len <= KEY_MAX &&
               strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") >=
                       len;
}

static int add_consume(Fields *fields, char *key, char *value, size_t len) {
        if (fields->n == fields->room) {
                size_t room = MAX(fields->room * 2, (size_t) 32);
                Field *grown = reallocarray(fields->items, room, sizeof(*grown));

                if (!grown) {
                        free(key);
                        free(value);
                        return -ENOMEM;
                }
                fields->items = grown;
                fields->room = room;
        }
        fields->items[fields->n++] = (Field){key, value, len};
        return 0;
}

static int add(Fields *fields, const char *key, size_t key_len, const void *value, size_t len) {
        char *key_copy = strndup(key, key_len), *value_copy = malloc(len + 1);

        if (!key_copy || !value_copy) {
                free(key_copy);
                free(value_copy);
                return -ENOMEM;
        }
        if (len > 0)
                memcpy(value_copy, value, len);
        value_copy[len] = '\0';
        return add_consume(fields, key_copy, value_copy, len);
}

/** fields_set_bytes() - append a value; @key must be new */
void fields_set_bytes(Fields *fields, const char *key, const void *value, size_t len) {
        if (add(fields, key, strlen(key), value, len) < 0)
                fields->failed = true;
}

/** fields_set() - append a text; NULL is none */
void fields_set(Fields *fields, const char *key, const char *value) {
        if (value)
                fields_set_bytes(fields, key, value, strlen(value));
}

/** fields_set_u64() - append a number; 0 is none, as fields_get_u64() reads it */
void fields_set_u64(Fields *fields, const char *key, uint64_t value) {
        char text[24];

        if (value == 0)
                return;
        (void) snprintf(text, sizeof(text), "%" PRIu64, value);
        fields_set(fields, key, text);
}

/** fields_find() - borrowed; NULL if there is none */
const Field *fields_find(const Fields *fields, const char *key) {
        for (size_t i = 0; i < fields->n; i++)
                if (str_eq(fields->items[i].key, key))
                        return &fields->items[i];
        return NULL;
}

/** fields_get() - a text, borrowed; NULL if there is none, or one with a NUL in it */
const char *fields_get(const Fields *fields, const char *key) {
        const Field *field = fields_find(fields, key);

        return field && strlen(field->value) == field->len ? field->value : NULL;
}

/** fields_get_u64() - a number; @otherwise if there is none */
uint64_t fields_get_u64(const Fields *fields, const char *key, uint64_t otherwise) {
        const char *text = fields_get(fields, key);
        uint64_t value;

        return text && parse_u64(text, &value) == 0 ? value : otherwise;
}

/* Bytes that would not stay on one line, or not be read back as they are, become \xx. */
static void append_escaped(StrBuf *out, const Field *field) {
        for (size_t i = 0; i < field->len; i++) {
                unsigned char c = (unsigned char) field->value[i];

                if (c < 0x20 || c == '\\' || c >= 0x7f)
                        strbuf_printf(out, "\\%02x", c);
                else
                        strbuf_append_bytes(out, &c, 1);
        }
}

/** fields_encode() - append all as lines. Return: 0; -ENOMEM when memory ran out here or before. */
int fields_encode(const Fields *fields, StrBuf *out) {
        if (fields->failed)
                return -ENOMEM;
        for (size_t i = 0; i < fields->n; i++) {
                strbuf_append(out, fields->items[i].key);
                strbuf_append(out, "=");
                append_escaped(out, &fields->items[i]);
                strbuf_append(out, "\n");
        }
        return out->failed ? -ENOMEM : 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -EBADMSG;
}

/* The value at @text, unescaped. */
static int unescape(const char *text, size_t len, char **ret, size_t *ret_len) {
        _cleanup_(freep) char *value = malloc(len + 1);
        size_t n = 0;

        if (!value)
                return -ENOMEM;
        for (size_t i = 0; i < len; i++) {
                int high, low;

                if (text[i] != '\\') {
                        value[n++] = text[i];
                        continue;
                }
                if (len - i < 3)
                        return -EBADMSG;
                high = hex_digit(text[i + 1]);
                low = hex_digit(text[i + 2]);
                if (high < 0 || low < 0)
                        return -EBADMSG;
                value[n++] = (char) (high << 4 | low);
                i += 2;
        }
        value[n] = '\0';
        *ret = TAKE(value);
        *ret_len = n;
        return 0;
}

static int decode_line(const char *line, size_t len, Fields *fields) {
        const char *equals = memchr(line, '=', len);
        size_t key_len = equals ? (size_t) (equals - line) : 0, value_len;
        char *key, *value;
        int r;

        if (!equals || !key_is_valid(line, key_len))
                return -EBADMSG;
        r = unescape(equals + 1, len - key_len - 1, &value, &value_len);
        if (r < 0)
                return r;
        key = strndup(line, key_len);
        if (!key) {
                free(value);
                return -ENOMEM;
        }
        return add_consume(fields, key, value, value_len);
}

/**
 * fields_decode() - read what fields_encode() wrote, or anything
 * @ret: release with fields_deinit()
 *
 * Return: 0; -EBADMSG for text that is not of that form; -ENOMEM.
 */
int fields_decode(const char *text, size_t len, Fields *ret) {
        _cleanup_(fields_deinit) Fields fields = {0};

        while (len > 0) {
                const char *end = memchr(text, '\n', len);
                size_t n;
                int r;

                if (!end || fields.n >= FIELDS_MAX)
                        return -EBADMSG;
                n = (size_t) (end - text);
                r = decode_line(text, n, &fields);
                if (r < 0)
                        return r;
                text += n + 1;
                len -= n + 1;
        }
        *ret = fields;
        fields = (Fields){0};
        return 0;
}
