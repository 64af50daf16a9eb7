/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --vfio, for the flag table. */

#include "config/vmm_config.h"

int crosvm_vfio_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_vfio_emit(const VmmVfio *vfio, char **ret);
