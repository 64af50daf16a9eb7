/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/boot/unpack_job.h"

typedef struct UnpackFormatInfo {
        const char *name;
        uint8_t magic[UNPACK_MAGIC_SIZE];
        size_t magic_len;
        int (*unpack)(UnpackJob *job);
        size_t scratch_size;
} UnpackFormatInfo;

/* Magic numbers as the kernel's lib/decompress.c knows them; its bzip2 and lzo are left to the guest's own stub. */
static const UnpackFormatInfo unpack_formats[] = {
        [UNPACK_FORMAT_UNKNOWN] = {.name = "unknown"},
        [UNPACK_FORMAT_GZIP] = {"gzip", {0x1f, 0x8b, 0x08}, 3, unpack_gzip},
        [UNPACK_FORMAT_XZ] = {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, unpack_xz},
        [UNPACK_FORMAT_LZMA] = {"lzma", {0x5d, 0, 0}, 3, unpack_lzma},
        [UNPACK_FORMAT_LZ4] = {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4, UNPACK_LZ4_SCRATCH},
        [UNPACK_FORMAT_ZSTD] = {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
};

/** unpack_sniff() - the format that data starting with @magic are in, or UNPACK_FORMAT_UNKNOWN */
UnpackFormat unpack_sniff(const uint8_t magic[static UNPACK_MAGIC_SIZE]) {
        for (size_t i = UNPACK_FORMAT_UNKNOWN + 1; i < ELEMENTSOF(unpack_formats); i++)
                if (memcmp(magic, unpack_formats[i].magic, unpack_formats[i].magic_len) == 0)
                        return (UnpackFormat) i;
        return UNPACK_FORMAT_UNKNOWN;
}

/** unpack_format_name() - for messages */
const char *unpack_format_name(UnpackFormat format) {
        return unpack_formats[format].name;
}

/** unpack_scratch_size() - bytes that unpack() works in besides small allocations of its own; may be 0 */
size_t unpack_scratch_size(UnpackFormat format) {
        return unpack_formats[format].scratch_size;
}

/**
 * unpack() - decode a range of a file into a sink
 * @ret_size: bytes that came out
 *
 * Blocks for the whole time that decoding takes. What exceeds config->size_max does not reach the sink.
 *
 * Return: 0; -EBADMSG for corrupt data; -EFBIG for more than config->size_max; -EOPNOTSUPP for a valid stream that
 * our decoder cannot decode but another might; other negative errno.
 */
int unpack(const UnpackConfig *config, uint64_t *ret_size, TextError *reterr) {
        UnpackJob job = {
                .file = config->file,
                .in_offset = config->offset,
                .in_left = config->len,
                .scratch = config->scratch,
                .sink = config->sink,
                .out_max = config->size_max,
                .reterr = reterr,
        };
        int r;

        if (!unpack_formats[config->format].unpack)
                return -EOPNOTSUPP;
        if (!range_within(config->offset, config->len, config->file->size))
                return text_error_set(reterr, -ENODATA,
                                      "the file is truncated: its packed kernel of %" PRIu64
                                      " bytes at offset %" PRIu64 " ends beyond it",
                                      config->len, config->offset);
        r = unpack_formats[config->format].unpack(&job);
        if (r < 0)
                return r;
        *ret_size = job.out_size;
        return 0;
}
