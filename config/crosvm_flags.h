/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one table of VMM command line options. The launcher emits with it and the VMM parses with it, so that the two
 * cannot drift apart; `--help` is printed from it too.
 */

#include <stdio.h>

#include "base/log.h"
#include "config/vmm_config.h"

/* Conditions of crosvm_flags_parse(): the caller prints and exits 0. */
enum {
        CROSVM_FLAGS_E_HELP = 1,
        CROSVM_FLAGS_E_VERSION,
};

int crosvm_flags_find_command(int argc, char *const *argv);
int crosvm_flags_parse(int argc, char *const *argv, VmmConfig *ret, TextError *reterr);
int crosvm_flags_emit(const VmmConfig *config, StrVec *argv, TextError *reterr);
void crosvm_flags_help(FILE *out);

typedef struct LogFilter {
        LogLevel level;
        LogRule rules[LOG_RULES_MAX];
        size_t n_rules;
} LogFilter;

int crosvm_log_filter_parse(const char *filter, LogFilter *ret, TextError *reterr);
