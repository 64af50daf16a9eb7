/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside the unpackers: one unpacking in progress, and what the decoders share. */

#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/unpack.h"

#define UNPACK_INPUT_SIZE (64u * 1024u)

typedef struct UnpackJob {
        const ImageFile *file;  /* borrowed */
        uint64_t in_offset;     /* of the next byte in @file */
        uint64_t in_left;       /* packed bytes not read yet */
        void *scratch;          /* borrowed, NULL or as large as the format wants */
        const UnpackSink *sink; /* borrowed */
        uint64_t out_size;      /* bytes put out so far */
        uint64_t out_max;       /* the most that may come out */
        TextError *reterr;
} UnpackJob;

/* A block of the lz4 legacy frame, at its largest, packed and unpacked. */
#define UNPACK_LZ4_BLOCK ((size_t) 8 << 20)
#define UNPACK_LZ4_PACKED (UNPACK_LZ4_BLOCK + UNPACK_LZ4_BLOCK / 255 + 16)
#define UNPACK_LZ4_SCRATCH (UNPACK_LZ4_PACKED + UNPACK_LZ4_BLOCK)

/* What a stream decoder did in one step. */
typedef enum UnpackStep {
        UNPACK_STEP_MORE,        /* it needs another call */
        UNPACK_STEP_END,         /* the stream is complete */
        UNPACK_STEP_CORRUPT,     /* not a valid stream */
        UNPACK_STEP_UNSUPPORTED, /* valid, but not for this library */
        UNPACK_STEP_NO_MEMORY,
} UnpackStep;

/*
 * One call of a stream decoder: takes from [*in, in_end), puts to [*out, out_end), and moves both on. @finish: the
 * input ends at @in_end.
 */
typedef UnpackStep (*UnpackStepFn)(void *decoder, const uint8_t **in, const uint8_t *in_end,
                                   uint8_t **out, uint8_t *out_end, bool finish);

int unpack_job_read(UnpackJob *job, void *data, size_t len);
void *unpack_job_reserve(UnpackJob *job, size_t want, size_t *ret_len);
int unpack_job_commit(UnpackJob *job, size_t len);
int unpack_job_write(UnpackJob *job, const void *data, size_t len);
int unpack_job_too_big(UnpackJob *job);
int unpack_job_corrupt(UnpackJob *job, const char *what);
int unpack_job_stream(UnpackJob *job, UnpackStepFn step, void *decoder);

/* One decoder per format; -EBADMSG for corrupt data, -EOPNOTSUPP for features the library lacks. */
int unpack_gzip(UnpackJob *job);
int unpack_xz(UnpackJob *job);
int unpack_lzma(UnpackJob *job);
int unpack_lz4(UnpackJob *job);
int unpack_zstd(UnpackJob *job);
