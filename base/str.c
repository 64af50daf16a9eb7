/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/** strbuf_deinit() - release the text; the buffer is empty again */
void strbuf_deinit(StrBuf *buf) {
        free(buf->data);
        *buf = (StrBuf){0};
}

static bool strbuf_reserve(StrBuf *buf, size_t more) {
        size_t want;
        char *grown;

        if (buf->failed)
                return false;
        if (__builtin_add_overflow(buf->len, more, &want) || want >= SIZE_MAX / 2) {
                buf->failed = true;
                return false;
        }
        want++; /* the terminator */
        if (want <= buf->room)
                return true;
        want = MAX(want, buf->room * 2);
        grown = realloc(buf->data, want);
        if (!grown) {
                buf->failed = true;
                return false;
        }
        buf->data = grown;
        buf->room = want;
        return true;
}

/** strbuf_append_bytes() - append @len bytes; a failure is remembered for strbuf_finish() */
void strbuf_append_bytes(StrBuf *buf, const void *data, size_t len) {
        if (!strbuf_reserve(buf, len))
                return;
        if (len > 0)
                memcpy(buf->data + buf->len, data, len);
        buf->len += len;
        buf->data[buf->len] = '\0';
}

/** strbuf_append() - append a string */
void strbuf_append(StrBuf *buf, const char *text) {
        strbuf_append_bytes(buf, text, strlen(text));
}

/** strbuf_printf() - append formatted text */
void strbuf_printf(StrBuf *buf, const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0) {
                buf->failed = true;
                return;
        }
        if (!strbuf_reserve(buf, (size_t) n))
                return;
        va_start(ap, format);
        (void) vsnprintf(buf->data + buf->len, (size_t) n + 1, format, ap);
        va_end(ap);
        buf->len += (size_t) n;
}

/**
 * strbuf_finish() - hand the text over and leave the buffer empty
 * @ret: never NULL on success, "" for an empty buffer; owned by the caller
 *
 * Return: 0, or -ENOMEM when any append failed.
 */
int strbuf_finish(StrBuf *buf, char **ret) {
        if (!strbuf_reserve(buf, 0)) {
                strbuf_deinit(buf);
                return -ENOMEM;
        }
        buf->data[buf->len] = '\0';
        *ret = TAKE(buf->data);
        *buf = (StrBuf){0};
        return 0;
}

/** strvec_deinit() - release all strings; the vector is empty again */
void strvec_deinit(StrVec *vec) {
        for (size_t i = 0; i < vec->n; i++)
                free(vec->items[i]);
        free(vec->items);
        *vec = (StrVec){0};
}

/** strvec_add_consume() - append @text, owned from now on even on failure. Return: 0 or -ENOMEM. */
int strvec_add_consume(StrVec *vec, char *text) {
        _cleanup_(freep) char *owned = text;

        if (!owned)
                return -ENOMEM;
        if (vec->n + 1 >= vec->room) {
                size_t room = vec->room ? vec->room * 2 : 16;
                char **grown = reallocarray(vec->items, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                vec->items = grown;
                vec->room = room;
        }
        vec->items[vec->n++] = TAKE(owned);
        vec->items[vec->n] = NULL;
        return 0;
}

/** strvec_add() - append a copy of @text. Return: 0 or -ENOMEM. */
int strvec_add(StrVec *vec, const char *text) {
        return strvec_add_consume(vec, strdup(text));
}

/** strvec_addf() - append formatted text. Return: 0 or -ENOMEM. */
int strvec_addf(StrVec *vec, const char *format, ...) {
        char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        return n < 0 ? -ENOMEM : strvec_add_consume(vec, text);
}

/**
 * parse_u64() - decimal digits or 0x-prefixed hex, nothing around them
 *
 * Return: 0; -EINVAL for anything else; -ERANGE when it does not fit.
 */
int parse_u64(const char *text, uint64_t *ret) {
        unsigned base = 10;
        uint64_t value = 0;

        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
                base = 16;
                text += 2;
        }
        if (!*text)
                return -EINVAL;
        for (; *text; text++) {
                unsigned digit;

                if (*text >= '0' && *text <= '9')
                        digit = (unsigned) (*text - '0');
                else if (*text >= 'a' && *text <= 'f')
                        digit = (unsigned) (*text - 'a') + 10;
                else if (*text >= 'A' && *text <= 'F')
                        digit = (unsigned) (*text - 'A') + 10;
                else
                        return -EINVAL;
                if (digit >= base)
                        return -EINVAL;
                if (__builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

/** parse_u32() - as parse_u64() for 32 bits */
int parse_u32(const char *text, uint32_t *ret) {
        uint64_t value;
        int r = parse_u64(text, &value);

        if (r < 0)
                return r;
        if (value > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t) value;
        return 0;
}

/** parse_fd() - a descriptor number as parse_u64() reads it, at most INT_MAX */
int parse_fd(const char *text, int *ret) {
        uint64_t value;
        int r = parse_u64(text, &value);

        if (r < 0)
                return r;
        if (value > INT_MAX)
                return -ERANGE;
        *ret = (int) value;
        return 0;
}

/** str_after_prefix() - the rest of @text behind @prefix, borrowed, or NULL */
const char *str_after_prefix(const char *text, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}
