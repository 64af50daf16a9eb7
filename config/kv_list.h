/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * crosvm's comma lists, "path=/a,ro,block-size=4096": the key of the first item may be left out, a key alone means
 * true, a value with a comma, an equals sign or a bracket in it is quoted, and a [list] is one value.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/text_error.h"

#define KV_ITEMS_MAX 64u

typedef struct KvItem {
        char *key;   /* owned; as written */
        char *value; /* owned; NULL for a key alone */
        bool list;   /* @value is the raw text of a [list] */
} KvItem;

enum {
        KV_LIST = 1 << 0,       /* @set takes a [list] as well */
        KV_REPEATABLE = 1 << 1, /* the key may be given more than once */
};

/*
 * One key of an option. @set stores the value in @object; NULL marks a key that crosvm has and this version does
 * not, so that it is refused as such. Keys are compared with '_' and '-' alike, as crosvm's aliases have it.
 */
typedef struct KvField {
        const char *name;
        int (*set)(void *object, const KvItem *item, TextError *reterr);
        unsigned flags; /* KV_* */
} KvField;

int kv_apply(const char *text, const char *implicit_key, const KvField *fields, size_t n_fields,
             void *object, TextError *reterr);

int kv_get_bool(const KvItem *item, bool *ret, TextError *reterr);
int kv_get_u64(const KvItem *item, uint64_t min, uint64_t max, uint64_t *ret, TextError *reterr);
int kv_get_strings(const KvItem *item, size_t max, StrVec *ret, TextError *reterr);
int kv_get_string(const KvItem *item, char **ret, TextError *reterr);

void kv_append(StrBuf *buf, const char *key, const char *value);
void kv_append_flag(StrBuf *buf, const char *key);
