/* SPDX-License-Identifier: Apache-2.0 */
#define ZLIB_CONST /* input is const */

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#include "vmm/boot/unpack_job.h"

#define GZIP_WINDOW_BITS (15 + 16) /* the largest window; 16 selects the gzip wrapper */

static UnpackStep gzip_step(void *decoder, const uint8_t **in, const uint8_t *in_end, uint8_t **out,
                            uint8_t *out_end, bool finish) {
        z_stream *z = decoder;
        size_t room = (size_t) (out_end - *out);
        int code;

        z->next_in = *in;
        z->avail_in = (uInt) (in_end - *in);
        z->next_out = *out;
        z->avail_out = (uInt) MIN(room, (size_t) UINT_MAX);
        code = inflate(z, Z_NO_FLUSH);
        *in = z->next_in;
        *out = z->next_out;

        switch (code) {
        case Z_OK:
        case Z_BUF_ERROR: /* nothing to do without more input or room */
                return UNPACK_STEP_MORE;
        case Z_STREAM_END:
                return UNPACK_STEP_END;
        case Z_MEM_ERROR:
                return UNPACK_STEP_NO_MEMORY;
        default:
                return UNPACK_STEP_CORRUPT;
        }
}

/** unpack_gzip() - RFC 1952, one member; the checksum is verified. Return: as unpack(). */
int unpack_gzip(UnpackJob *job) {
        z_stream z = {0};
        int r;

        if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
                return -ENOMEM;
        r = unpack_job_stream(job, gzip_step, &z);
        (void) inflateEnd(&z);
        return r;
}
