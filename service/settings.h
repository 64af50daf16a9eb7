/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the administrator sets in vivariumd.conf(5). */

#include "base/text_error.h"
#include "service/policy/quota.h"

#define SETTINGS_BYTES_MAX 65536u

typedef struct Settings {
        char *group; /* owned; "" for none */
        Quota quota;
} Settings;

int settings_init(Settings *settings);
void settings_deinit(Settings *settings);
int settings_parse(const char *text, uint64_t memory_bytes, Settings *settings, TextError *reterr);
int settings_load(const char *path, Settings *settings, TextError *reterr);
