/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json_scan.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "config/utf8.h"

/*
 * A check of the text before json-c sees it, for what json-c cannot report: of two equal keys it keeps the last
 * without a word, it reads NaN, comments and '…' strings unless every flag is right, and it ends strings at a NUL for
 * those who forget the length. What passes here is RFC 8259 to the letter, of bounded depth, and json-c then only
 * builds the tree.
 */

#define PATH_KEY_MAX 64u /* bytes of a key shown in a path; longer ones are unknown anyway */

typedef struct Scan {
        const char *start, *p, *end;
        StrBuf path; /* owned; where @p is */
        unsigned depth;
        TextError *reterr;
} Scan;

static bool is_plain_key(const char *key) {
        static const char plain[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

        return *key && strspn(key, plain) == strlen(key);
}

/** json_path_add_key() - append a member to a path: "a.b", or a["odd key"] cut to a readable length */
void json_path_add_key(StrBuf *path, const char *key) {
        size_t n = strlen(key);

        if (n <= PATH_KEY_MAX && is_plain_key(key)) {
                strbuf_printf(path, "%s%s", path->len > 0 ? "." : "", key);
                return;
        }
        n = utf8_cut(key, PATH_KEY_MAX);
        strbuf_append(path, "[\"");
        for (size_t i = 0; i < n; i++)
                if ((uint8_t) key[i] < 0x20 || key[i] == 0x7f)
                        strbuf_append(path, "?");
                else
                        strbuf_append_bytes(path, &key[i], 1);
        strbuf_append(path, n < strlen(key) ? "...\"]" : "\"]");
}

/** json_path_add_index() - append an element to a path: "a[0]" */
void json_path_add_index(StrBuf *path, size_t index) {
        strbuf_printf(path, "[%zu]", index);
}

static void path_cut(StrBuf *path, size_t len) {
        path->len = len;
        if (path->data)
                path->data[len] = '\0';
}

/* "PATH: line L column C: WHAT" */
static int scan_error(const Scan *scan, const char *what) {
        unsigned line = 1, column = 1;

        for (const char *q = scan->start; q < scan->p; q++)
                if (*q == '\n')
                        line++, column = 1;
                else if (((uint8_t) *q & 0xc0) != 0x80)
                        column++;
        return text_error_set(scan->reterr, -EINVAL, "%s: line %u column %u: %s",
                              scan->path.len > 0 ? scan->path.data : "config", line, column, what);
}

static void skip_space(Scan *scan) {
        while (scan->p < scan->end && strchr(" \t\r\n", *scan->p))
                scan->p++;
}

static bool take(Scan *scan, char c) {
        if (scan->p == scan->end || *scan->p != c)
                return false;
        scan->p++;
        return true;
}

static int scan_hex4(Scan *scan, uint32_t *ret) {
        uint32_t value = 0;

        for (unsigned i = 0; i < 4; i++) {
                static const char digits[] = "0123456789abcdef";
                const char *d =
                        scan->p < scan->end && *scan->p ? strchr(digits, *scan->p | 0x20) : NULL;

                if (!d)
                        return scan_error(scan, "expected four hex digits behind \\u");
                value = value << 4 | (uint32_t) (d - digits);
                scan->p++;
        }
        *ret = value;
        return 0;
}

static void append_code_point(StrBuf *out, uint32_t code) {
        char bytes[4];
        size_t n;

        if (code < 0x80) {
                bytes[0] = (char) code;
                n = 1;
        } else if (code < 0x800) {
                bytes[0] = (char) (0xc0 | code >> 6);
                n = 2;
        } else if (code < 0x10000) {
                bytes[0] = (char) (0xe0 | code >> 12);
                n = 3;
        } else {
                bytes[0] = (char) (0xf0 | code >> 18);
                n = 4;
        }
        for (size_t i = 1; i < n; i++)
                bytes[i] = (char) (0x80 | (code >> (6 * (n - 1 - i)) & 0x3f));
        strbuf_append_bytes(out, bytes, n);
}

/* Behind "\u". */
static int scan_unicode_escape(Scan *scan, StrBuf *out) {
        uint32_t code, low;
        int r;

        r = scan_hex4(scan, &code);
        if (r < 0)
                return r;
        if (code >= 0xd800 && code <= 0xdbff && take(scan, '\\') && take(scan, 'u')) {
                r = scan_hex4(scan, &low);
                if (r < 0)
                        return r;
                if (low < 0xdc00 || low > 0xdfff)
                        return scan_error(scan, "half of a surrogate pair");
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        if (code >= 0xd800 && code <= 0xdfff)
                return scan_error(scan, "half of a surrogate pair");
        if (code == 0)
                return scan_error(scan, "a NUL character in a string");
        append_code_point(out, code);
        return 0;
}

static int scan_escape(Scan *scan, StrBuf *out) {
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *name;

        if (take(scan, 'u'))
                return scan_unicode_escape(scan, out);
        name = scan->p < scan->end && *scan->p ? strchr(names, *scan->p) : NULL;
        if (!name)
                return scan_error(scan, "unknown escape in a string");
        scan->p++;
        strbuf_append_bytes(out, &values[name - names], 1);
        return 0;
}

/* At the opening quote. @out gets the decoded text. */
static int scan_string(Scan *scan, StrBuf *out) {
        int r;

        scan->p++;
        for (;;) {
                if (scan->p == scan->end)
                        return scan_error(scan, "the string is not closed");
                if (take(scan, '"'))
                        return 0;
                if (take(scan, '\\')) {
                        r = scan_escape(scan, out);
                        if (r < 0)
                                return r;
                        continue;
                }
                if ((uint8_t) *scan->p < 0x20)
                        return scan_error(scan, "a control character in a string");
                strbuf_append_bytes(out, scan->p++, 1);
        }
}

static bool take_digits(Scan *scan) {
        const char *from = scan->p;

        while (scan->p < scan->end && *scan->p >= '0' && *scan->p <= '9')
                scan->p++;
        return scan->p > from;
}

static int scan_number(Scan *scan) {
        bool ok;

        (void) take(scan, '-');
        ok = take(scan, '0') || take_digits(scan);
        if (ok && take(scan, '.'))
                ok = take_digits(scan);
        if (ok && (take(scan, 'e') || take(scan, 'E'))) {
                if (!take(scan, '+'))
                        (void) take(scan, '-');
                ok = take_digits(scan);
        }
        return ok ? 0 : scan_error(scan, "malformed number");
}

static int scan_word(Scan *scan) {
        static const char *const words[] = {"true", "false", "null"};

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i]);

                if ((size_t) (scan->end - scan->p) >= n && memcmp(scan->p, words[i], n) == 0) {
                        scan->p += n;
                        return 0;
                }
        }
        return scan_error(scan, scan->p == scan->end ? "the text ends early" : "expected a value");
}

static int scan_value(Scan *scan);

static int scan_array(Scan *scan) {
        size_t path_len = scan->path.len;
        int r;

        scan->p++;
        skip_space(scan);
        if (take(scan, ']'))
                return 0;
        for (size_t i = 0;; i++) {
                json_path_add_index(&scan->path, i);
                r = scan_value(scan);
                if (r < 0)
                        return r;
                path_cut(&scan->path, path_len);
                skip_space(scan);
                if (take(scan, ']'))
                        return 0;
                if (!take(scan, ','))
                        return scan_error(scan, "expected , or ]");
        }
}

/* Reads a key, refuses one that @keys has, and adds it there and to the path. */
static int scan_key(Scan *scan, StrVec *keys) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(freep) char *key = NULL;
        int r;

        if (scan->p == scan->end || *scan->p != '"')
                return scan_error(scan, "expected a key in quotes");
        r = scan_string(scan, &buf);
        if (r < 0)
                return r;
        r = strbuf_finish(&buf, &key);
        if (r < 0)
                return r;
        json_path_add_key(&scan->path, key);
        for (size_t i = 0; i < keys->n; i++)
                if (str_eq(keys->items[i], key))
                        return scan_error(scan, "the key is given twice");
        if (keys->n >= JSON_MEMBERS_MAX)
                return scan_error(scan, "the object has too many members");
        return strvec_add_consume(keys, TAKE(key));
}

static int scan_object(Scan *scan) {
        _cleanup_(strvec_deinit) StrVec keys = {0};
        size_t path_len = scan->path.len;
        int r;

        scan->p++;
        skip_space(scan);
        if (take(scan, '}'))
                return 0;
        for (;;) {
                r = scan_key(scan, &keys);
                if (r < 0)
                        return r;
                skip_space(scan);
                if (!take(scan, ':'))
                        return scan_error(scan, "expected : behind the key");
                r = scan_value(scan);
                if (r < 0)
                        return r;
                path_cut(&scan->path, path_len);
                skip_space(scan);
                if (take(scan, '}'))
                        return 0;
                if (!take(scan, ','))
                        return scan_error(scan, "expected , or }");
                skip_space(scan);
        }
}

static int scan_value(Scan *scan) {
        _cleanup_(strbuf_deinit) StrBuf ignored = {0};
        int r;

        skip_space(scan);
        if (scan->p == scan->end)
                return scan_error(scan, "the text ends early");
        switch (*scan->p) {
        case '{':
        case '[':
                if (++scan->depth > JSON_DEPTH_MAX)
                        return scan_error(scan, "nested too deeply");
                r = *scan->p == '{' ? scan_object(scan) : scan_array(scan);
                scan->depth--;
                return r;
        case '"':
                return scan_string(scan, &ignored);
        case '-':
        case '0' ... '9':
                return scan_number(scan);
        default:
                return scan_word(scan);
        }
}

/**
 * json_scan() - whether @text is exactly one JSON value by RFC 8259, without equal keys, NULs or deep nesting
 *
 * Return: 0; -EINVAL with "PATH: line L column C: …" in @reterr; -ENOMEM.
 */
int json_scan(const char *text, size_t len, TextError *reterr) {
        Scan scan = {.start = text, .p = text, .end = text + len, .reterr = reterr};
        int r;

        if (!utf8_valid(text, len))
                return text_error_set(reterr, -EINVAL,
                                      "config: the text is not UTF-8, or has a NUL in it");
        r = scan_value(&scan);
        skip_space(&scan);
        if (r == 0 && scan.p < scan.end)
                r = scan_error(&scan, "something follows the value");
        if (r == 0 && scan.path.failed)
                r = -ENOMEM;
        strbuf_deinit(&scan.path);
        return r;
}
