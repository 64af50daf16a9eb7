/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --pmem and its two older spellings, for the flag table. */

#include "config/vmm_config.h"

int crosvm_pmem_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pmem_device_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_rw_pmem_device_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pmem_emit(const VmmPmem *pmem, char **ret);
