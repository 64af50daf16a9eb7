/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The options about guest memory, for the flag tables. */

#include "config/vmm_config.h"

int crosvm_mem_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_mem_emit(const VmmConfig *config, char **ret);
int crosvm_init_mem_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_file_mapping_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_file_mapping_emit(const VmmFileMapping *mapping, char **ret);
int crosvm_pstore_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pstore_emit(const VmmMemory *memory, char **ret);
