/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Kernel images made on the spot: as small as they may be, right in every field, for tests to spoil. */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "vmm/boot/image_file.h"
#include "vmm/boot/unpack.h"

#define KERNEL_IMAGE_TEXT UINT64_C(0x1000000)
#define KERNEL_IMAGE_DATA UINT64_C(0x1800000)
#define KERNEL_IMAGE_END UINT64_C(0x2501000)
#define KERNEL_IMAGE_TEXT_OFFSET 0x1000u
#define KERNEL_IMAGE_TEXT_SIZE 0x9000u
#define KERNEL_IMAGE_DATA_SIZE 0x0300u
#define KERNEL_IMAGE_RAM (UINT64_C(64) << 20)
#define KERNEL_IMAGE_PAYLOAD 0x500u /* offset of the packed kernel in the protected-mode part */
#define KERNEL_IMAGE_INIT_SIZE 0x1800000u

/* Byte @offset of the ELF file's text and data. */
uint8_t kernel_image_byte(size_t offset);

/* @text_size: KERNEL_IMAGE_TEXT_SIZE, or more for a kernel that spans several lz4 blocks. */
void kernel_image_elf(StrBuf *out, size_t text_size);
void kernel_image_pack(StrBuf *out, UnpackFormat format, const void *data, size_t len);
/* @payload is what the setup header points to, the size word included. */
void kernel_image_bzimage(StrBuf *out, const void *payload, size_t len);
/* The usual: an ELF, packed, with its size word, in a bzImage; UNPACK_FORMAT_UNKNOWN: the bare ELF. */
void kernel_image_make(StrBuf *out, UnpackFormat format);

ImageFile kernel_image_file(const void *data, size_t len);
