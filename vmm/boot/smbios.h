/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* SMBIOS 3.3 tables: what the machine calls itself, how much memory it has, and the OEM strings. */

#include "base/str.h"
#include "vmm/boot/board.h"
#include "vmm/mem/guest_mem.h"

#define SMBIOS_ENTRY_SIZE 24u

int smbios_build(const GuestMem *mem, const BoardInfo *board,
                 uint8_t ret_entry[static SMBIOS_ENTRY_SIZE], StrBuf *ret_table);
int smbios_write(const GuestMem *mem, const BoardInfo *board);
