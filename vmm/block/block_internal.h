/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What opening a disk and the image formats share. */

#include <stddef.h>
#include <stdint.h>

#include "config/composite.h"
#include "vmm/block/aio.h"
#include "vmm/block/block.h"

/* A file or block device that is open and fit to be a disk. */
typedef struct BlockFile {
        int fd;     /* owned */
        char *name; /* owned; what messages call it, NULL: a disk */
        uint64_t size_bytes;
        uint32_t align_bytes;   /* of offsets, lengths and buffers; 1 unless direct */
        uint32_t optimal_bytes; /* the file system's block */
        bool read_only;
        bool sparse;
        bool dontcache;
} BlockFile;

/* Bytes at the start of an image that decide what format it has. */
#define BLOCK_SNIFF_BYTES 512u

const char *block_format_refused(const uint8_t *head, size_t len);

int block_open_part(const char *path, const BlockOpenOptions *options, Aio *aio, BlockDev **ret,
                    TextError *reterr);
int raw_new(BlockFile *file, Aio *aio, BlockDev **ret);
int composite_new(const CompositeSpec *spec, const char *path, const BlockOpenOptions *options,
                  Aio *aio, BlockDev **ret, TextError *reterr);
