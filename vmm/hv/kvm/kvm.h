/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The KVM backend of the hypervisor interface. */

#include "vmm/hv/hv.h"

extern const HvOps kvm_hv_ops;
