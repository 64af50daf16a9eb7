/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Unpacking a compressed kernel on the host. One decoder per format reads from a range of the image file in pieces
 * and writes where the sink says, which is guest RAM itself wherever possible. What comes out is bounded by what the
 * image declared, so that a small file cannot make the host work or allocate without end.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"
#include "vmm/boot/image_file.h"

typedef enum UnpackFormat {
        UNPACK_FORMAT_UNKNOWN,
        UNPACK_FORMAT_GZIP,
        UNPACK_FORMAT_XZ,
        UNPACK_FORMAT_LZMA,
        UNPACK_FORMAT_LZ4, /* the legacy frame that kernel builds use */
        UNPACK_FORMAT_ZSTD,
} UnpackFormat;

#define UNPACK_MAGIC_SIZE 8u /* bytes that unpack_sniff() wants to see */

/* Takes the output in order. Implemented by the kernel loader, and by tests. */
typedef struct UnpackSink {
        void *userdata;
        /* Where the next bytes go: @ret_len (at least 1, at most @want) bytes at the returned address, never NULL. */
        void *(*reserve)(void *userdata, size_t want, size_t *ret_len);
        /* The first @len of the bytes last reserved were written. 0, or negative errno, which ends unpacking. */
        int (*commit)(void *userdata, size_t len);
} UnpackSink;

UnpackFormat unpack_sniff(const uint8_t magic[static UNPACK_MAGIC_SIZE]);
const char *unpack_format_name(UnpackFormat format);
int unpack(const ImageFile *file, uint64_t offset, uint64_t len, UnpackFormat format,
           uint64_t size_max, const UnpackSink *sink, uint64_t *ret_size, TextError *reterr);
