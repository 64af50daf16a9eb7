/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Disk requests one at a time, for tests: each helper asks, runs the loop until the request ends, and returns its end. */

#include <stddef.h>
#include <stdint.h>

#include "vmm/block/block.h"

typedef struct FakeDisk {
        Loop *loop;    /* owned */
        BlockDev *dev; /* owned */
} FakeDisk;

char *temp_file_new(const void *data, size_t len, uint64_t size_bytes);
void temp_file_freep(char **path);

int fake_disk_read(FakeDisk *disk, uint64_t offset, void *data, size_t len);
int fake_disk_write(FakeDisk *disk, uint64_t offset, const void *data, size_t len);
int fake_disk_readv(FakeDisk *disk, uint64_t offset, const struct iovec *iov, unsigned n);
int fake_disk_writev(FakeDisk *disk, uint64_t offset, const struct iovec *iov, unsigned n);
int fake_disk_flush(FakeDisk *disk);
int fake_disk_discard(FakeDisk *disk, uint64_t offset, uint64_t len);
int fake_disk_write_zeroes(FakeDisk *disk, uint64_t offset, uint64_t len, bool unmap);
void fake_disk_deinit(FakeDisk *disk);
