/* SPDX-License-Identifier: Apache-2.0 */
#include "config/kv_list.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Bytes that end an unquoted key or value. */
static const char kv_special[] = ",=[]";

static void kv_item_deinit(KvItem *item) {
        free(item->key);
        free(item->value);
        *item = (KvItem){0};
}

/* Reads '…' or "…" with backslash escapes; *p is at the opening quote and ends behind the closing one. */
static int kv_read_quoted(const char **p, char **ret, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        const char *s = *p;
        char quote = *s++;

        for (; *s != quote; s++) {
                if (*s == '\\' && s[1])
                        s++;
                if (!*s)
                        return text_error_set(reterr, -EINVAL, "the quote %c is not closed", quote);
                strbuf_append_bytes(&buf, s, 1);
        }
        *p = s + 1;
        return strbuf_finish(&buf, ret);
}

static int kv_read_word(const char **p, char **ret, TextError *reterr) {
        size_t n;

        if (**p == '"' || **p == '\'')
                return kv_read_quoted(p, ret, reterr);
        n = strcspn(*p, kv_special);
        if (n == 0)
                return text_error_set(reterr, -EINVAL, "a key or value is missing before %s%.1s",
                                      **p ? "" : "the end", *p);
        *ret = strndup(*p, n);
        if (!*ret)
                return -ENOMEM;
        *p += n;
        return 0;
}

/* Copies a balanced [list] unread: what is in it, the key decides. */
static int kv_read_list(const char **p, char **ret, TextError *reterr) {
        const char *s = *p;
        unsigned depth = 0;

        do {
                if (*s == '[')
                        depth++;
                else if (*s == ']')
                        depth--;
                else if (!*s)
                        return text_error_set(reterr, -EINVAL, "the bracket [ is not closed");
                s++;
        } while (depth > 0);
        *ret = strndup(*p, (size_t) (s - *p));
        *p = s;
        return *ret ? 0 : -ENOMEM;
}

static int kv_read_item(const char **p, KvItem *item, TextError *reterr) {
        int r;

        r = kv_read_word(p, &item->key, reterr);
        if (r < 0)
                return r;
        if (**p == '=') {
                (*p)++;
                item->list = **p == '[';
                r = item->list ? kv_read_list(p, &item->value, reterr)
                               : kv_read_word(p, &item->value, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "%s", item->key);
        }
        if (**p && **p != ',')
                return text_error_set(reterr, -EINVAL,
                                      "%s: '%c' is not expected here; quote a value that has it",
                                      item->key, **p);
        return 0;
}

static bool kv_key_eq(const char *a, const char *b) {
        for (; *a && *b; a++, b++)
                if (*a != *b && !(*a == '_' && *b == '-'))
                        return false;
        return *a == *b;
}

static int kv_store(const KvItem *item, const KvField *fields, size_t n_fields, uint64_t *seen,
                    void *object, TextError *reterr) {
        int r;

        for (size_t i = 0; i < n_fields; i++) {
                if (!kv_key_eq(item->key, fields[i].name))
                        continue;
                if (!fields[i].set)
                        return text_error_set(reterr, -EINVAL, "%s: not supported by this version",
                                              fields[i].name);
                if ((*seen & (UINT64_C(1) << i)) && !(fields[i].flags & KV_REPEATABLE))
                        return text_error_set(reterr, -EINVAL, "%s: given twice", fields[i].name);
                *seen |= UINT64_C(1) << i;
                if (item->list && !(fields[i].flags & KV_LIST))
                        return text_error_set(reterr, -EINVAL, "%s: a list is not accepted here",
                                              fields[i].name);
                r = fields[i].set(object, item, reterr);
                return r < 0 ? text_error_prefix(reterr, r, "%s", fields[i].name) : 0;
        }
        return text_error_set(reterr, -EINVAL, "%s: unknown key", item->key);
}

/**
 * kv_apply() - parse a comma list and store each item through the field of its key
 * @implicit_key: key of a first item that has only a value; NULL if the option has none
 * @fields:       at most KV_ITEMS_MAX
 * @object:       handed to KvField.set
 *
 * Return: 0; -EINVAL with "KEY: …" in @reterr; -ENOMEM. @object may be partly set on failure.
 */
int kv_apply(const char *text, const char *implicit_key, const KvField *fields, size_t n_fields,
             void *object, TextError *reterr) {
        const char *p = text;
        uint64_t seen = 0;
        int r;

        for (bool first = true;; first = false) {
                _cleanup_(kv_item_deinit) KvItem item = {0};

                r = kv_read_item(&p, &item, reterr);
                if (r < 0)
                        return r;
                if (first && implicit_key && !item.value) {
                        item.value = item.key;
                        item.key = strdup(implicit_key);
                        if (!item.key)
                                return -ENOMEM;
                }
                r = kv_store(&item, fields, n_fields, &seen, object, reterr);
                if (r < 0)
                        return r;
                if (!*p)
                        return 0;
                p++;
        }
}

/** kv_get_bool() - "true", "false", or true for the key alone. Return: 0; -EINVAL. */
int kv_get_bool(const KvItem *item, bool *ret, TextError *reterr) {
        bool on = !item->value || str_eq(item->value, "true");

        if (!on && !str_eq(item->value, "false"))
                return text_error_set(reterr, -EINVAL, "expected true or false, not '%s'",
                                      item->value);
        *ret = on;
        return 0;
}

/** kv_get_u64() - a number from @min to @max, both included. Return: 0; -EINVAL. */
int kv_get_u64(const KvItem *item, uint64_t min, uint64_t max, uint64_t *ret, TextError *reterr) {
        uint64_t value;

        if (!item->value)
                return text_error_set(reterr, -EINVAL, "a number is missing");
        if (parse_u64(item->value, &value) < 0 || value < min || value > max)
                return text_error_set(reterr, -EINVAL,
                                      "expected a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
                                      min, max, item->value);
        *ret = value;
        return 0;
}

/** kv_get_string() - a copy of a value that is not empty. Return: 0; -EINVAL; -ENOMEM. */
int kv_get_string(const KvItem *item, char **ret, TextError *reterr) {
        char *copy;

        if (!item->value || !*item->value)
                return text_error_set(reterr, -EINVAL, "a value is missing");
        copy = strdup(item->value);
        if (!copy)
                return -ENOMEM;
        free(*ret);
        *ret = copy;
        return 0;
}

static int kv_split(const char *list, StrVec *ret, TextError *reterr) {
        const char *p = list + 1;
        int r;

        do {
                char *word = NULL;

                r = kv_read_word(&p, &word, reterr);
                if (r < 0)
                        return r;
                r = strvec_add_consume(ret, word);
                if (r < 0)
                        return r;
        } while (*p++ == ',');
        return p[-1] == ']' && !*p
                       ? 0
                       : text_error_set(reterr, -EINVAL, "expected [A,B,...], not '%s'", list);
}

/** kv_get_strings() - the words of a [list], or a single word; 1..@max of them. Return: 0; -EINVAL; -ENOMEM. */
int kv_get_strings(const KvItem *item, size_t max, StrVec *ret, TextError *reterr) {
        int r;

        if (!item->value)
                return text_error_set(reterr, -EINVAL, "a value is missing");
        r = item->list ? kv_split(item->value, ret, reterr) : strvec_add(ret, item->value);
        if (r == 0 && ret->n > max)
                return text_error_set(reterr, -EINVAL, "more than %zu are given", max);
        return r;
}

/** kv_append() - add "key=value" to a comma list, quoting what kv_apply() would split */
void kv_append(StrBuf *buf, const char *key, const char *value) {
        bool quote = !*value || strpbrk(value, ",=[]\"'\\ \t\n");

        if (buf->len > 0)
                strbuf_append(buf, ",");
        strbuf_printf(buf, "%s=", key);
        if (!quote) {
                strbuf_append(buf, value);
                return;
        }
        strbuf_append(buf, "\"");
        for (const char *p = value; *p; p++) {
                if (*p == '"' || *p == '\\')
                        strbuf_append(buf, "\\");
                strbuf_append_bytes(buf, p, 1);
        }
        strbuf_append(buf, "\"");
}

/** kv_append_flag() - add a key alone, which means true */
void kv_append_flag(StrBuf *buf, const char *key) {
        if (buf->len > 0)
                strbuf_append(buf, ",");
        strbuf_append(buf, key);
}
