/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "vmm/block/block.h"

/* What every kind of disk makes of an image: the blocks that its guest sees, its name, its size. */

#define EXPONENT_MAX 7u

/**
 * block_check_disk() - whether @image can be a disk of such blocks and name
 * @id: serial number, or NULL
 *
 * Return: 0; -EINVAL with a sentence.
 */
int block_check_disk(const BlockDev *image, unsigned block_size, const char *id,
                     TextError *reterr) {
        if (block_size < BLOCK_SIZE_MIN || block_size > BLOCK_SIZE_MAX ||
            (block_size & (block_size - 1)) != 0)
                return text_error_set(reterr, -EINVAL,
                                      "block size %u is not 512, 1024, 2048 or 4096", block_size);
        if (block_size % image->align_bytes != 0)
                return text_error_set(
                        reterr, -EINVAL,
                        "direct access to this image needs blocks of %u bytes, not %u",
                        image->align_bytes, block_size);
        if (id && strlen(id) > BLOCK_ID_MAX)
                return text_error_set(reterr, -EINVAL, "disk id '%s' is longer than %u bytes", id,
                                      BLOCK_ID_MAX);
        return 0;
}

/** block_physical_exponent() - logical blocks of @block_size in one that is good for the host, as a power of two */
uint8_t block_physical_exponent(const BlockDev *image, unsigned block_size) {
        uint8_t exponent = 0;

        while (((uint64_t) block_size << (exponent + 1)) <= image->optimal_bytes &&
               exponent < EXPONENT_MAX)
                exponent++;
        return exponent;
}

/**
 * block_resize() - give the image another size
 * @size_bytes: a multiple of @block_size
 *
 * Return: 0; -EINVAL for a size that is none; -EOPNOTSUPP for an image whose size is fixed; -EROFS; what the host's file
 * system says.
 */
int block_resize(BlockDev *image, unsigned block_size, uint64_t size_bytes) {
        if (size_bytes == 0 || size_bytes % block_size != 0)
                return -EINVAL;
        if (image->read_only)
                return -EROFS;
        if (!image->ops->resize)
                return -EOPNOTSUPP;
        return image->ops->resize(image, size_bytes);
}
