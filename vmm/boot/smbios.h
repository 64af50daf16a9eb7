/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* SMBIOS 3.3 tables: what the machine calls itself, how much memory it has, and the OEM strings. */

#include "vmm/boot/board.h"
#include "vmm/mem/guest_mem.h"

int smbios_write(const GuestMem *mem, const BoardInfo *board);
