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

typedef struct UnpackConfig {
        const ImageFile *file; /* borrowed */
        uint64_t offset,
                len; /* of the packed data in @file; bytes after the end of the stream are ignored */
        UnpackFormat format; /* not UNPACK_FORMAT_UNKNOWN */
        uint64_t size_max;   /* more output than this is an error */
        void *scratch;       /* borrowed; unpack_scratch_size() bytes to work in, NULL = map some */
        const UnpackSink *sink;
} UnpackConfig;

UnpackFormat unpack_sniff(const uint8_t magic[static UNPACK_MAGIC_SIZE]);
const char *unpack_format_name(UnpackFormat format);
size_t unpack_scratch_size(UnpackFormat format);
int unpack(const UnpackConfig *config, uint64_t *ret_size, TextError *reterr);
