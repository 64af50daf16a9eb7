/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What --swap cannot be combined with. */

#include "config/vmm_config.h"

int vmm_swap_validate(const VmmConfig *config, TextError *reterr);
