/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * crosvm's composite disk: a file of a magic and one protobuf message (cdisk_spec.proto) that lists which file backs
 * which range of a virtual disk. The launcher writes it, the VMM reads it; it may also come from a client.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"

#define COMPOSITE_MAGIC "composite_disk\x1d"
#define COMPOSITE_MAGIC_LEN (sizeof(COMPOSITE_MAGIC) - 1)
#define COMPOSITE_FILE_MAX (512u * 1024u) /* bytes; more than PARTS_MAX parts need */
#define COMPOSITE_PARTS_MAX 512u
#define COMPOSITE_PATH_MAX 4095u
#define COMPOSITE_SIZE_MAX (UINT64_C(1) << 60) /* bytes; keeps every sum of offsets in 64 bits */

typedef struct CompositePart {
        char *path;      /* owned; a relative one starts from the directory of the composite file */
        uint64_t offset; /* bytes, in the disk */
        uint64_t size;   /* bytes, up to the next part or the end of the disk; set by decoding */
        uint64_t file_offset; /* bytes, in the file */
        bool writable;
} CompositePart;

typedef struct CompositeSpec {
        CompositePart *parts; /* owned array; after decoding sorted, gapless, from offset 0 */
        size_t n_parts;
        uint64_t size; /* bytes, of the disk */
} CompositeSpec;

void composite_spec_deinit(CompositeSpec *spec);
int composite_spec_add(CompositeSpec *spec, const char *path, uint64_t offset, bool writable);
int composite_encode(const CompositeSpec *spec, void **ret, size_t *ret_len);
bool composite_is(const void *data, size_t len);
int composite_decode(const void *data, size_t len, CompositeSpec *ret, TextError *reterr);
