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
#define LZ4_LEGACY_BLOCK (8u << 20)

/* Mapped rather than allocated: the heap would keep what it once held. */
typedef struct Lz4Buffers {
        uint8_t *base; /* owned mapping: packed block, then unpacked block */
        char *packed, *unpacked;
        size_t packed_max;
} Lz4Buffers;

static size_t lz4_buffers_size(void) {
        return (size_t) LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK) + LZ4_LEGACY_BLOCK;
}

static void lz4_buffers_deinit(Lz4Buffers *buffers) {
        if (buffers->base)
                (void) munmap(buffers->base, lz4_buffers_size());
}

static int lz4_buffers_init(Lz4Buffers *ret) {
        void *base = mmap(NULL, lz4_buffers_size(), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (base == MAP_FAILED)
                return -errno;
        *ret = (Lz4Buffers){
                .base = base,
                .packed = base,
                .packed_max = LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK),
                .unpacked = (char *) base + LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK),
        };
        return 0;
}

/*
 * A block goes straight to where it belongs when the sink has a whole block's room in one piece there; otherwise it
 * is unpacked beside and copied.
 */
static int lz4_unpack_block(UnpackJob *job, const Lz4Buffers *buffers, size_t packed_size) {
        size_t room = 0;
        char *direct = unpack_job_reserve(job, LZ4_LEGACY_BLOCK, &room);
        bool in_place = room == LZ4_LEGACY_BLOCK;
        int n;

        n = LZ4_decompress_safe(buffers->packed, in_place ? direct : buffers->unpacked,
                                (int) packed_size, LZ4_LEGACY_BLOCK);
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
        r = lz4_buffers_init(&buffers);
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
                if (packed_size > buffers.packed_max)
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
