/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state of the boot processor that the 64-bit boot protocol asks for. */

#include "vmm/boot/boot.h"

int entry_prepare(const GuestMem *mem, gpa_t rip, BootEntry *ret);
