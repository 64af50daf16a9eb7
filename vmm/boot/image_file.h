/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A kernel or initrd on the host: read at offsets, never mapped, as its owner may truncate it meanwhile. */

#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"
#include "vmm/mem/guest_mem.h"

typedef struct ImageFile {
        int fd;        /* owned, regular file */
        uint64_t size; /* bytes, never 0 */
} ImageFile;

int image_file_open(const char *path, ImageFile *ret, TextError *reterr);
int image_file_from_fd_consume(int fd, ImageFile *ret, TextError *reterr);
void image_file_deinit(ImageFile *file);
int image_file_read(const ImageFile *file, uint64_t offset, void *data, size_t len,
                    TextError *reterr);
int image_file_load(const ImageFile *file, uint64_t offset, uint64_t len, const GuestMem *mem,
                    gpa_t gpa, TextError *reterr);
