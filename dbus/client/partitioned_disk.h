/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk made of files that become its partitions, with a GUID partition table around them. */

#include <stdbool.h>
#include <stddef.h>

#include "base/text_error.h"
#include "config/gpt.h"

typedef struct DiskPartition {
        char *label, *path; /* owned; the path is absolute */
        int fd;             /* owned, open for reading */
        bool read_only;     /* of a composite disk */
} DiskPartition;

typedef struct PartitionedDisk {
        DiskPartition *partitions; /* owned array */
        GptPartition *table;       /* owned array, one for each */
        size_t n;
        GptImage gpt;
} PartitionedDisk;

int partitioned_disk_open(const char *const *words, size_t n, PartitionedDisk *ret,
                          TextError *reterr);
int partitioned_disk_write_raw(const PartitionedDisk *disk, const char *path, TextError *reterr);
int partitioned_disk_write_composite(const PartitionedDisk *disk, const char *path,
                                     TextError *reterr);
void partitioned_disk_deinit(PartitionedDisk *disk);
