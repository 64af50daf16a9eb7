/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The software processor as a hypervisor backend: works wherever the VMM itself runs. */

#include "vmm/hv/hv.h"

extern const HvOps soft_hv_ops;
