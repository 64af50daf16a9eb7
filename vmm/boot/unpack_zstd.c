/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "vmm/boot/unpack_job.h"

/* Kernel builds use `zstd -22 --ultra`, whose window is 128 MiB. */
#define ZSTD_KERNEL_WINDOW_LOG 27

static UnpackStep zstd_step(void *decoder, const uint8_t **in, const uint8_t *in_end, uint8_t **out,
                            uint8_t *out_end, bool finish) {
        ZSTD_inBuffer input = {.src = *in, .size = (size_t) (in_end - *in)};
        ZSTD_outBuffer output = {.dst = *out, .size = (size_t) (out_end - *out)};
        size_t code = ZSTD_decompressStream(decoder, &output, &input);

        *in += input.pos;
        *out += output.pos;
        if (!ZSTD_isError(code))
                return code == 0 ? UNPACK_STEP_END : UNPACK_STEP_MORE;

        switch ((int) ZSTD_getErrorCode(code)) {
        case ZSTD_error_memory_allocation:
                return UNPACK_STEP_NO_MEMORY;
        case ZSTD_error_frameParameter_unsupported:
        case ZSTD_error_frameParameter_windowTooLarge:
        case ZSTD_error_dictionary_wrong:
        case ZSTD_error_version_unsupported:
                return UNPACK_STEP_UNSUPPORTED;
        default:
                return UNPACK_STEP_CORRUPT;
        }
}

/** unpack_zstd() - RFC 8878, one frame. Return: as unpack(). */
int unpack_zstd(UnpackJob *job) {
        ZSTD_DCtx *context = ZSTD_createDCtx();
        int r = -ENOMEM;

        if (!context)
                return -ENOMEM;
        if (!ZSTD_isError(
                    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_KERNEL_WINDOW_LOG)))
                r = unpack_job_stream(job, zstd_step, context);
        (void) ZSTD_freeDCtx(context);
        return r;
}
