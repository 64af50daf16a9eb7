/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --pmem-ext2 and --shared-dir, whose keys stand behind colons. */

#include "config/vmm_config.h"

int crosvm_pmem_ext2_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_pmem_ext2_emit(const VmmPmem *pmem, char **ret);
int crosvm_shared_dir_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_shared_dir_emit(const VmmSharedDir *dir, char **ret);
