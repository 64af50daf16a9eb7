/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --net as a pair of functions, for the flag table; and its keys one by one. */

#include "config/vmm_config.h"

int crosvm_net_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_net_set(VmmNet *net, const char *key, const char *value, TextError *reterr);
int crosvm_net_emit(const VmmNet *net, char **ret);
int crosvm_forward_parse(const char *text, VmmForward *ret);
