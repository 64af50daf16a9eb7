/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_kernel_image.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/le.h"

/* Making test data cannot go wrong; if it does, the test must not go on. */
#define must(condition)                                                                            \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        abort();                                                                   \
        } while (0)

#define SETUP_SECTORS 4u
#define STUB_OFFSET ((SETUP_SECTORS + 1) * 512u)
#define STUB_FILL 0xccu
#define LZ4_BLOCK (8u << 20)

uint8_t kernel_image_byte(size_t offset) {
        return (uint8_t) (offset * 7 + offset / 251);
}

static void fill(StrBuf *out, size_t end) {
        while (out->len < end) {
                const uint8_t byte = kernel_image_byte(out->len);

                strbuf_append_bytes(out, &byte, 1);
        }
}

void kernel_image_elf(StrBuf *out, size_t text_size) {
        const Elf64_Phdr phdrs[] = {
                {.p_type = PT_LOAD,
                 .p_offset = KERNEL_IMAGE_TEXT_OFFSET,
                 .p_paddr = KERNEL_IMAGE_TEXT,
                 .p_filesz = text_size,
                 .p_memsz = text_size},
                {.p_type = PT_LOAD,
                 .p_offset = KERNEL_IMAGE_TEXT_OFFSET + text_size + 0x100, /* a gap */
                 .p_paddr =
                         text_size > 0x800000 ? KERNEL_IMAGE_TEXT + text_size : KERNEL_IMAGE_DATA,
                 .p_filesz = KERNEL_IMAGE_DATA_SIZE,
                 .p_memsz = KERNEL_IMAGE_DATA_SIZE + 0x1000},
                {.p_type = PT_LOAD, .p_paddr = KERNEL_IMAGE_END - 0x1000, .p_memsz = 0x1000},
        };
        const Elf64_Ehdr ehdr = {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                            EV_CURRENT},
                .e_type = ET_EXEC,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_entry = KERNEL_IMAGE_TEXT,
                .e_phoff = sizeof(ehdr),
                .e_ehsize = sizeof(ehdr),
                .e_phentsize = sizeof(phdrs[0]),
                .e_phnum = ELEMENTSOF(phdrs),
        };

        strbuf_append_bytes(out, &ehdr, sizeof(ehdr));
        strbuf_append_bytes(out, phdrs, sizeof(phdrs));
        fill(out, phdrs[1].p_offset + KERNEL_IMAGE_DATA_SIZE + 40);
}

static size_t pack_gzip(uint8_t *to, size_t room, const void *data, size_t len) {
        z_stream z = {0};

        must(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_in = (Bytef *) (uintptr_t) data;
        z.avail_in = (uInt) len;
        z.next_out = to;
        z.avail_out = (uInt) room;
        must(deflate(&z, Z_FINISH) == Z_STREAM_END);
        (void) deflateEnd(&z);
        return z.total_out;
}

static size_t pack_xz(uint8_t *to, size_t room, const void *data, size_t len) {
        size_t n = 0;

        must(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, data, len, to, &n, room) ==
             LZMA_OK);
        return n;
}

static size_t pack_lzma(uint8_t *to, size_t room, const void *data, size_t len) {
        lzma_stream lzma = LZMA_STREAM_INIT;
        lzma_options_lzma options;

        must(!lzma_lzma_preset(&options, 0));
        must(lzma_alone_encoder(&lzma, &options) == LZMA_OK);
        lzma.next_in = data;
        lzma.avail_in = len;
        lzma.next_out = to;
        lzma.avail_out = room;
        must(lzma_code(&lzma, LZMA_FINISH) == LZMA_STREAM_END);
        lzma_end(&lzma);
        return room - lzma.avail_out;
}

static size_t pack_lz4(uint8_t *to, size_t room, const char *data, size_t len) {
        size_t n = 4;

        le32_store(to, 0x184c2102);
        for (size_t at = 0; at < len; at += LZ4_BLOCK) {
                const size_t piece = MIN(len - at, (size_t) LZ4_BLOCK);
                const int packed = LZ4_compress_default(data + at, (char *) to + n + 4, (int) piece,
                                                        (int) (room - n - 4));

                must(packed > 0);
                le32_store(to + n, (uint32_t) packed);
                n += 4 + (size_t) packed;
        }
        return n;
}

static size_t pack_zstd(uint8_t *to, size_t room, const void *data, size_t len) {
        const size_t n = ZSTD_compress(to, room, data, len, 1);

        must(!ZSTD_isError(n));
        return n;
}

void kernel_image_pack(StrBuf *out, UnpackFormat format, const void *data, size_t len) {
        const size_t room = len * 2 + 65536;
        _cleanup_(freep) uint8_t *packed = malloc(room);
        size_t n = 0;

        must(packed);
        switch (format) {
        case UNPACK_FORMAT_GZIP:
                n = pack_gzip(packed, room, data, len);
                break;
        case UNPACK_FORMAT_XZ:
                n = pack_xz(packed, room, data, len);
                break;
        case UNPACK_FORMAT_LZMA:
                n = pack_lzma(packed, room, data, len);
                break;
        case UNPACK_FORMAT_LZ4:
                n = pack_lz4(packed, room, data, len);
                break;
        case UNPACK_FORMAT_ZSTD:
                n = pack_zstd(packed, room, data, len);
                break;
        case UNPACK_FORMAT_UNKNOWN:
                abort();
        }
        strbuf_append_bytes(out, packed, n);
}

void kernel_image_bzimage(StrBuf *out, const void *payload, size_t len) {
        const size_t stub_size = align_up(KERNEL_IMAGE_PAYLOAD + len, 16);
        const struct setup_header header = {
                .setup_sects = SETUP_SECTORS,
                .syssize = (uint32_t) (stub_size / 16),
                .boot_flag = 0xaa55,
                .jump = 0x6aeb, /* the header ends at 0x202 + 0x6a */
                .header = 0x53726448,
                .version = 0x020f,
                .loadflags = LOADED_HIGH,
                .initrd_addr_max = 0x7fffffff,
                .kernel_alignment = 0x200000,
                .relocatable_kernel = 1,
                .min_alignment = 21,
                .xloadflags = XLF_KERNEL_64,
                .cmdline_size = 2047,
                .payload_offset = KERNEL_IMAGE_PAYLOAD,
                .payload_length = (uint32_t) len,
                .pref_address = KERNEL_IMAGE_TEXT,
                .init_size = KERNEL_IMAGE_INIT_SIZE,
        };
        _cleanup_(freep) uint8_t *image = malloc(STUB_OFFSET + stub_size);

        must(image);
        memset(image, 0, STUB_OFFSET);
        memcpy(image + 0x1f1, &header, sizeof(header));
        memset(image + STUB_OFFSET, STUB_FILL, stub_size);
        memcpy(image + STUB_OFFSET + KERNEL_IMAGE_PAYLOAD, payload, len);
        strbuf_append_bytes(out, image, STUB_OFFSET + stub_size);
}

void kernel_image_make(StrBuf *out, UnpackFormat format) {
        _cleanup_(strbuf_deinit) StrBuf elf = {0}, payload = {0};

        if (format == UNPACK_FORMAT_UNKNOWN) {
                kernel_image_elf(out, KERNEL_IMAGE_TEXT_SIZE);
                return;
        }
        kernel_image_elf(&elf, KERNEL_IMAGE_TEXT_SIZE);
        kernel_image_pack(&payload, format, elf.data, elf.len);
        if (format != UNPACK_FORMAT_GZIP) { /* whose own last word is the size */
                const uint32_t size = htole32((uint32_t) elf.len);

                strbuf_append_bytes(&payload, &size, sizeof(size));
        }
        kernel_image_bzimage(out, payload.data, payload.len);
}

ImageFile kernel_image_file(const void *data, size_t len) {
        const int fd = fd_memfd_from("kernel", data, len);
        ImageFile file = {0};

        must(fd >= 0);
        must(image_file_from_fd_consume(fd, &file, NULL) == 0);
        return file;
}
