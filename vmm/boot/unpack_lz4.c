/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The LZ4 legacy frame (lz4_Frame_format.md, "Legacy frame"): a magic number, then blocks of a 32-bit packed size and
 * that many bytes, each unpacking on its own to 8 MiB, the last one to less. There is no end mark and no checksum.
 */

#include <errno.h>
#include <lz4.h>
#include <sys/mman.h>

#include "base/le.h"
#include "vmm/boot/unpack_job.h"

#define LZ4_LEGACY_MAGIC UINT32_C(0x184c2102)

_Static_assert(UNPACK_LZ4_PACKED == LZ4_COMPRESSBOUND(UNPACK_LZ4_BLOCK),
               "packed size of a block that does not compress");

typedef struct Lz4Buffers {
        char *packed, *unpacked; /* borrowed from the job, or from @mapped */
        void *mapped;            /* owned; mapped, as the heap would keep what it once held */
} Lz4Buffers;

static void lz4_buffers_deinit(Lz4Buffers *buffers) {
        if (buffers->mapped)
                (void) munmap(buffers->mapped, UNPACK_LZ4_SCRATCH);
}

static int lz4_buffers_init(Lz4Buffers *buffers, void *scratch) {
        if (!scratch) {
                scratch = mmap(NULL, UNPACK_LZ4_SCRATCH, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                if (scratch == MAP_FAILED)
                        return -errno;
                buffers->mapped = scratch;
        }
        buffers->packed = scratch;
        buffers->unpacked = buffers->packed + UNPACK_LZ4_PACKED;
        return 0;
}

/*
 * A block goes straight to where it belongs when the sink has a whole block's room in one piece there; otherwise it
 * is unpacked beside and copied.
 */
static int lz4_unpack_block(UnpackJob *job, const Lz4Buffers *buffers, size_t packed_size) {
        size_t room = 0;
        char *direct = unpack_job_reserve(job, UNPACK_LZ4_BLOCK, &room);
        bool in_place = room == UNPACK_LZ4_BLOCK;
        int n;

        n = LZ4_decompress_safe(buffers->packed, in_place ? direct : buffers->unpacked,
                                (int) packed_size, (int) UNPACK_LZ4_BLOCK);
        if (n < 0)
                return unpack_job_corrupt(job, "the decoder refuses a block");
        if (in_place)
                return unpack_job_commit(job, (size_t) n);
        return unpack_job_write(job, buffers->unpacked, (size_t) n);
}

/** unpack_lz4() - the legacy frame, to the end of the input. Return: as unpack(). */
int unpack_lz4(UnpackJob *job) {
        _cleanup_(lz4_buffers_deinit) Lz4Buffers buffers = {0};
        uint8_t word[4];
        int r;

        r = unpack_job_read(job, word, sizeof(word));
        if (r < 0)
                return r;
        if (le32_load(word) != LZ4_LEGACY_MAGIC)
                return unpack_job_corrupt(job, "it has no lz4 magic number");
        r = lz4_buffers_init(&buffers, job->scratch);
        if (r < 0)
                return r;

        while (job->in_left >= sizeof(word)) {
                uint32_t packed_size;

                r = unpack_job_read(job, word, sizeof(word));
                if (r < 0)
                        return r;
                packed_size = le32_load(word);
                if (packed_size == LZ4_LEGACY_MAGIC) /* another frame follows */
                        continue;
                if (packed_size == 0)
                        return 0;
                if (packed_size > UNPACK_LZ4_PACKED)
                        return unpack_job_corrupt(job, "a block is larger than lz4 allows");
                r = unpack_job_read(job, buffers.packed, packed_size);
                if (r < 0)
                        return r;
                r = lz4_unpack_block(job, &buffers, packed_size);
                if (r < 0)
                        return r;
        }
        return 0;
}
