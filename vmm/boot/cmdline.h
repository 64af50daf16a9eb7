/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel command line: what the VM's owner gave, after what follows from the VM's devices. */

#include "base/text_error.h"
#include "vmm/boot/boot.h"

int cmdline_build(const BootConfig *config, uint32_t max, char **ret, TextError *reterr);
