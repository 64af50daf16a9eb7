/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/unpack_job.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/**
 * unpack_job_read() - the next @len packed bytes
 *
 * Return: 0; -EBADMSG when fewer are left; other negative errno.
 */
int unpack_job_read(UnpackJob *job, void *data, size_t len) {
        int r;

        if (len > job->in_left)
                return unpack_job_corrupt(job, "it ends in the middle of the data");
        r = image_file_read(job->file, job->in_offset, data, len, job->reterr);
        if (r < 0)
                return r;
        job->in_offset += len;
        job->in_left -= len;
        return 0;
}

/** unpack_job_too_big() - record that more comes out than may. Return: -EFBIG. */
int unpack_job_too_big(UnpackJob *job) {
        return text_error_set(job->reterr, -EFBIG,
                              "the packed kernel unpacks to more than the %" PRIu64
                              " bytes that it declares",
                              job->out_max);
}

/** unpack_job_corrupt() - record that the packed data are damaged. Return: -EBADMSG. */
int unpack_job_corrupt(UnpackJob *job, const char *what) {
        return text_error_set(job->reterr, -EBADMSG, "the packed kernel is corrupt: %s", what);
}

/** unpack_job_commit() - the first @len reserved bytes were written. Return: what the sink gave. */
int unpack_job_commit(UnpackJob *job, size_t len) {
        job->out_size += len;
        return job->sink->commit(job->sink->userdata, len);
}

/** unpack_job_reserve() - where the next bytes go, as the sink says; @ret_len is 0 when no more may come out */
void *unpack_job_reserve(UnpackJob *job, size_t want, size_t *ret_len) {
        uint64_t room = job->out_max - job->out_size;

        if (want > room)
                want = (size_t) room;
        if (want == 0) {
                *ret_len = 0;
                return NULL;
        }
        return job->sink->reserve(job->sink->userdata, want, ret_len);
}

/**
 * unpack_job_write() - put out bytes that were decoded elsewhere
 *
 * Return: 0; -EFBIG when they are too many; what the sink gave.
 */
int unpack_job_write(UnpackJob *job, const void *data, size_t len) {
        const uint8_t *from = data;

        while (len > 0) {
                size_t n;
                uint8_t *to = unpack_job_reserve(job, len, &n);
                int r;

                if (n == 0)
                        return unpack_job_too_big(job);
                memcpy(to, from, n);
                r = unpack_job_commit(job, n);
                if (r < 0)
                        return r;
                from += n;
                len -= n;
        }
        return 0;
}

static int unpack_job_step_error(UnpackJob *job, UnpackStep step) {
        switch (step) {
        case UNPACK_STEP_CORRUPT:
                return unpack_job_corrupt(job, "the decoder refuses it");
        case UNPACK_STEP_UNSUPPORTED:
                return text_error_set(job->reterr, -EOPNOTSUPP,
                                      "the packed kernel uses a feature that the decoder lacks");
        case UNPACK_STEP_NO_MEMORY:
                return -ENOMEM;
        case UNPACK_STEP_MORE:
        case UNPACK_STEP_END:
                break;
        }
        return 0;
}

/**
 * unpack_job_stream() - drive a stream decoder from the first input byte to the end of its stream
 * @step:    the decoder's one call
 * @decoder: its first argument
 *
 * Bytes after the end of the stream are left alone: kernel builds append some. A step that neither takes nor gives
 * anything while it has both input and room ends the loop, so that it is bounded by input plus output.
 *
 * Return: 0; -EBADMSG, -EOPNOTSUPP, -EFBIG, or another negative errno.
 */
int unpack_job_stream(UnpackJob *job, UnpackStepFn step, void *decoder) {
        _cleanup_(freep) uint8_t *input = malloc(UNPACK_INPUT_SIZE);
        const uint8_t *in = input, *in_end = input;
        uint8_t probe;

        if (!input)
                return -ENOMEM;

        for (;;) {
                const uint8_t *in_before;
                uint8_t *out, *out_start;
                size_t room;
                UnpackStep did;
                int r;

                if (in == in_end && job->in_left > 0) {
                        size_t n = (size_t) MIN(job->in_left, (uint64_t) UNPACK_INPUT_SIZE);

                        r = unpack_job_read(job, input, n);
                        if (r < 0)
                                return r;
                        in = input;
                        in_end = input + n;
                }

                out_start = unpack_job_reserve(job, SIZE_MAX, &room);
                /* At the bound a decoder may still have a trailer to check, but not one more byte to give. */
                if (room == 0) {
                        out_start = &probe;
                        room = 1;
                }
                out = out_start;
                in_before = in;
                did = step(decoder, &in, in_end, &out, out_start + room, job->in_left == 0);
                r = unpack_job_step_error(job, did);
                if (r < 0)
                        return r;
                if (out != out_start) {
                        if (out_start == &probe)
                                return unpack_job_too_big(job);
                        r = unpack_job_commit(job, (size_t) (out - out_start));
                        if (r < 0)
                                return r;
                }
                if (did == UNPACK_STEP_END)
                        return 0;
                if (in == in_before && out == out_start)
                        return unpack_job_corrupt(job, "it ends in the middle of the data");
        }
}
