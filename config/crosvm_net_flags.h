/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --net as a pair of functions; used by the flag table only. */

#include "config/vmm_config.h"

int crosvm_net_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_net_emit(const VmmNet *net, char **ret);
int crosvm_forward_parse(const char *text, VmmForward *ret);
