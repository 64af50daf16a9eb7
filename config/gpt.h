/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A GUID partition table around given partitions: UEFI specification 2.10, section 5.3. */

#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"

#define GPT_SECTOR_SIZE 512u
#define GPT_PARTITIONS_MAX 128u
#define GPT_ALIGNMENT 4096u        /* of the offset of every partition */
#define GPT_HEAD_SIZE (40u * 512u) /* MBR, header, entries, and padding up to the first partition */
#define GPT_DISK_ALIGNMENT (64u * 1024) /* of the size of the disk */

typedef struct GptPartition {
        const char *label;     /* borrowed; UTF-8 of 1 to 36 UTF-16 units */
        uint64_t size_bytes;   /* of its content; the table rounds it up to sectors */
        uint8_t guid[16];      /* in text order */
        uint64_t offset_bytes; /* set by gpt_build() */
} GptPartition;

typedef struct GptImage {
        uint8_t *head; /* owned; GPT_HEAD_SIZE bytes, goes to offset 0 */
        uint8_t *tail; /* owned; goes to tail_offset, and ends the disk */
        size_t tail_size;
        uint64_t tail_offset;
        uint64_t disk_size;
} GptImage;

void gpt_image_deinit(GptImage *image);
int gpt_build(GptPartition *partitions, size_t n, const uint8_t disk_guid[static 16], GptImage *ret,
              TextError *reterr);
void gpt_make_guid(const void *seed, size_t len, uint8_t ret[static 16]);
