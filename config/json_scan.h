/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/str.h"
#include "base/text_error.h"

#define JSON_DEPTH_MAX 16u
#define JSON_MEMBERS_MAX 256u

int json_scan(const char *text, size_t len, TextError *reterr);
void json_path_add_key(StrBuf *path, const char *key);
void json_path_add_index(StrBuf *path, size_t index);
