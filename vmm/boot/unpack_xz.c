/* SPDX-License-Identifier: Apache-2.0 */

/* Both of liblzma's formats: .xz, and the older .lzma ("LZMA alone"). */

#include <errno.h>
#include <lzma.h>

#include "vmm/boot/unpack_job.h"

/* Kernel builds choose dictionaries of up to 128 MiB; a header that asks for more is not worth the host's memory. */
#define XZ_MEMORY_MAX (UINT64_C(160) << 20)

static UnpackStep xz_step(void *decoder, const uint8_t **in, const uint8_t *in_end, uint8_t **out,
                          uint8_t *out_end, bool finish) {
        lzma_stream *lzma = decoder;
        lzma_ret code;

        lzma->next_in = *in;
        lzma->avail_in = (size_t) (in_end - *in);
        lzma->next_out = *out;
        lzma->avail_out = (size_t) (out_end - *out);
        code = lzma_code(lzma, finish ? LZMA_FINISH : LZMA_RUN);
        *in = lzma->next_in;
        *out = lzma->next_out;

        if (code == LZMA_OK || code == LZMA_BUF_ERROR)
                return UNPACK_STEP_MORE;
        if (code == LZMA_STREAM_END)
                return UNPACK_STEP_END;
        if (code == LZMA_MEM_ERROR)
                return UNPACK_STEP_NO_MEMORY;
        if (code == LZMA_OPTIONS_ERROR || code == LZMA_MEMLIMIT_ERROR)
                return UNPACK_STEP_UNSUPPORTED;
        return UNPACK_STEP_CORRUPT;
}

static int xz_run(UnpackJob *job, lzma_stream *lzma, lzma_ret initialised) {
        int r;

        if (initialised != LZMA_OK)
                return -ENOMEM;
        r = unpack_job_stream(job, xz_step, lzma);
        lzma_end(lzma);
        return r;
}

/** unpack_xz() - the .xz container with any filter that liblzma has. Return: as unpack(). */
int unpack_xz(UnpackJob *job) {
        lzma_stream lzma = LZMA_STREAM_INIT;

        return xz_run(job, &lzma, lzma_stream_decoder(&lzma, XZ_MEMORY_MAX, /* flags= */ 0));
}

/** unpack_lzma() - the .lzma format. Return: as unpack(). */
int unpack_lzma(UnpackJob *job) {
        lzma_stream lzma = LZMA_STREAM_INIT;

        return xz_run(job, &lzma, lzma_alone_decoder(&lzma, XZ_MEMORY_MAX));
}
