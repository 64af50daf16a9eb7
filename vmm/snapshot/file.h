/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file of a snapshot: a header, the state, checksums of RAM, and RAM at its own offsets, with holes where the guest
 * has written nothing. All numbers are little endian; checksums are CRC-32, of 4 bytes.
 *
 *   0  magic "VIVSNAP\n"     8  version (4)             12  checksum of the state
 *  16  bytes of state (8)   24  where RAM begins (8)    32  bytes of RAM (8)
 *  40  checksum of all between state and RAM            44  zeros             60  checksum of bytes 0 to 59
 *  64  state (see snapshot.h), behind it a checksum for each MiB of RAM      … zeros up to a multiple of 4096: RAM
 *
 * That of a MiB is over its pages of 4096 bytes that are not all zeros, each behind its number (8): what is a hole and
 * what is zeros does not matter. So no byte of a file can change without being noticed before a guest runs.
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
