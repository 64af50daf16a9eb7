/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Disk images that vivctl makes: new files, never over old ones, and gone again if they do not come about. */

#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"

/* A file being made; .fd = -EBADF is none. */
typedef struct ImageFile {
        int fd;     /* owned */
        char *path; /* owned; NULL once it shall stay */
} ImageFile;

#define IMAGE_FILE_NONE ((ImageFile){.fd = -EBADF})

int image_file_create(const char *path, ImageFile *ret, TextError *reterr);
int image_file_write(const ImageFile *image, const void *data, size_t len, uint64_t offset,
                     TextError *reterr);
int image_file_copy(const ImageFile *image, int from, uint64_t len, uint64_t offset,
                    TextError *reterr);
int image_file_grow(const ImageFile *image, uint64_t size, TextError *reterr);
void image_file_keep(ImageFile *image);
void image_file_deinit(ImageFile *image);

int image_parse_size(const char *text, uint64_t *ret, TextError *reterr);
