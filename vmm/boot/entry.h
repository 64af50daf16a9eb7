/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The state of the boot processor that boot protocols ask for: in long mode, or in protected mode. */

#include "vmm/boot/boot.h"

int entry_prepare(const GuestMem *mem, gpa_t rip, BootEntry *ret);
void entry_set_protected(gpa_t rip, BootEntry *ret);
