/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one table of VMM command line options. The launcher emits with it and the VMM parses with it, so that the two
 * cannot drift apart; `--help` is printed from it too.
 */

#include <stdio.h>

#include "config/vmm_config.h"

int crosvm_flags_parse(int argc, char *const *argv, VmmConfig *ret, TextError *reterr);
int crosvm_flags_emit(const VmmConfig *config, StrVec *ret_argv);
void crosvm_flags_help(FILE *out);
