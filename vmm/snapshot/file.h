/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file of a snapshot: a header, the state, and behind them RAM at its own offsets, with holes where the guest has
 * written nothing. All numbers are little endian.
 *
 *   0  magic "VIVSNAP\n"     8  version (4)             12  CRC-32 of the state (4)
 *  16  bytes of state (8)   24  where RAM begins (8)    32  bytes of RAM (8)         40  zeros, up to 64
 *  64  state (see snapshot.h)      … up to a multiple of 4096: RAM
 *
 * The header is written last: what a snapshot that failed leaves behind is none.
 */

#include <stdatomic.h>

#include "vmm/mem/guest_mem.h"
#include "vmm/snapshot/snapshot.h"

int snapshot_file_write(int fd, const Snapshot *state, const GuestMem *mem,
                        const _Atomic bool *cancel);
int snapshot_file_read_state(int fd, uint8_t **ret, size_t *ret_len, TextError *reterr);
int snapshot_file_read_memory(int fd, const GuestMem *mem, TextError *reterr);
