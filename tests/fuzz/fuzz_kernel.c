/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Kernel loaders and unpackers. The first byte of the input chooses: '0' takes the rest as the file itself; '1' to '6'
 * take a right image (an ELF, then bzImages packed in each format) and the rest as edits of it, eight bytes each, so
 * that the search starts behind the checks that random bytes never pass. 'u' chooses an unpacker by the next byte and
 * feeds it the rest.
 */

#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/unpack.h"

#define EDIT_SIZE 8u
#define SINK_SIZE 8192u
#define UNPACKED_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(const void *image, size_t size) {
        _cleanup_(image_file_deinit) ImageFile file = {0};
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};
        LoadedKernel kernel;

        if (size == 0 || guest_mem_new(KERNEL_IMAGE_RAM, &mem) < 0)
                return;
        file = kernel_image_file(image, size);
        if (boot_kernel_load(&file, mem, &kernel, &error) < 0)
                return;
        /* What was accepted can be entered: code is in RAM, and where the loader says it ends is inside as well. */
        if (!guest_mem_ptr(mem, kernel.entry, 1) || kernel.end > KERNEL_IMAGE_RAM ||
            kernel.setup_header_size > SETUP_HEADER_SIZE_MAX)
                abort();
}

/* An edit: offset (32 bits, wrapped to the image), number of bytes (1 to 4), and the bytes. */
static void load_edited(UnpackFormat format, const uint8_t *edits, size_t size) {
        static StrBuf
                originals[UNPACK_FORMAT_ZSTD + 1]; /* packing them takes longer than all else */
        StrBuf *original = &originals[format];
        _cleanup_(strbuf_deinit) StrBuf image = {0};

        if (original->len == 0)
                kernel_image_make(original, format);
        strbuf_append_bytes(&image, original->data, original->len);
        for (; size >= EDIT_SIZE; edits += EDIT_SIZE, size -= EDIT_SIZE) {
                const size_t at = le32_load(edits) % image.len;
                const size_t n = MIN((size_t) (edits[3] & 3) + 1, image.len - at);

                memcpy(image.data + at, edits + 4, n);
        }
        load(image.data, image.len);
}

static void *sink_reserve(void *userdata, size_t want, size_t *ret_len) {
        *ret_len = MIN(want, (size_t) SINK_SIZE);
        return userdata;
}

static int sink_commit(void *userdata, size_t len) {
        return 0;
}

static void unpack_bytes(UnpackFormat format, const uint8_t *data, size_t size) {
        static uint8_t room[SINK_SIZE];
        const UnpackSink sink = {room, sink_reserve, sink_commit};
        _cleanup_(image_file_deinit) ImageFile file = {0};
        uint64_t unpacked = 0;

        if (size == 0)
                return;
        file = kernel_image_file(data, size);
        if (unpack(&(UnpackConfig){.file = &file,
                                   .len = size,
                                   .format = format,
                                   .size_max = UNPACKED_MAX,
                                   .sink = &sink},
                   &unpacked, NULL) >= 0 &&
            unpacked > UNPACKED_MAX)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 2)
                return 0;
        if (data[0] == '0')
                load(data + 1, size - 1);
        else if (data[0] >= '1' && data[0] <= '6')
                load_edited((UnpackFormat) (data[0] - '1'), data + 1, size - 1);
        else if (data[0] == 'u')
                unpack_bytes((UnpackFormat) (UNPACK_FORMAT_GZIP + data[1] % UNPACK_FORMAT_ZSTD),
                             data + 2, size - 2);
        return 0;
}
