/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --vhost-user-fs as a pair of functions; used by the flag table only. */

#include "config/vmm_config.h"

int crosvm_folder_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_folder_emit(const VmmFolder *folder, char **ret);
int crosvm_folder_emit_vhost_user(const VmmFolder *folder, char **ret);
