/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/kernel.h"

#define STUB_OFFSET 0xa00u

typedef struct Fixture {
        GuestMem *mem;
        StrBuf image;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || guest_mem_new(KERNEL_IMAGE_RAM, &f->mem) < 0)
                return -1;
        kernel_image_make(&f->image, UNPACK_FORMAT_GZIP);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) guest_mem_free(f->mem);
        strbuf_deinit(&f->image);
        free(f);
        return 0;
}

static struct setup_header *header(Fixture *f) {
        return (struct setup_header *) (void *) (f->image.data + SETUP_HEADER_OFFSET);
}

static int load(Fixture *f, LoadedKernel *ret, TextError *error) {
        _cleanup_(image_file_deinit) ImageFile file =
                kernel_image_file(f->image.data, f->image.len);

        return boot_kernel_load(&file, f->mem, ret, error);
}

static void assert_refused(Fixture *f, int r, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        LoadedKernel kernel;

        assert_int_equal(load(f, &kernel, &error), r);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" does not say \"%s\"", error.message, words);
}

static void test_every_known_format_is_unpacked_and_entered_directly(void **state) {
        Fixture *f = *state;

        for (UnpackFormat format = UNPACK_FORMAT_GZIP; format <= UNPACK_FORMAT_ZSTD; format++) {
                LoadedKernel kernel;
                uint8_t *text;

                strbuf_deinit(&f->image);
                kernel_image_make(&f->image, format);
                assert_int_equal(load(f, &kernel, NULL), 0);
                assert_true(kernel.unpacked);
                assert_int_equal(kernel.entry, KERNEL_IMAGE_TEXT);
                assert_int_equal(kernel.end, KERNEL_IMAGE_TEXT + KERNEL_IMAGE_INIT_SIZE);
                assert_int_equal(kernel.cmdline_max, 2047);
                assert_int_equal(kernel.initrd_addr_max, 0x7fffffff);
                assert_int_equal(kernel.setup_header_size, 0x202 + 0x6a - 0x1f1);

                text = guest_mem_ptr(f->mem, KERNEL_IMAGE_TEXT, KERNEL_IMAGE_TEXT_SIZE);
                for (size_t i = 0; i < KERNEL_IMAGE_TEXT_SIZE; i++)
                        assert_int_equal(text[i], kernel_image_byte(KERNEL_IMAGE_TEXT_OFFSET + i));
                memset(text, 0, KERNEL_IMAGE_TEXT_SIZE);
        }
}

static void test_a_kernel_of_several_lz4_blocks_is_unpacked(void **state) {
        const size_t text_size = (19 << 20) + 123;
        Fixture *f = *state;
        _cleanup_(strbuf_deinit) StrBuf elf = {0}, payload = {0};
        LoadedKernel kernel;
        const uint8_t *rest;
        uint8_t word[4];

        kernel_image_elf(&elf, text_size);
        kernel_image_pack(&payload, UNPACK_FORMAT_LZ4, elf.data, elf.len);
        le32_store(word, (uint32_t) elf.len);
        strbuf_append_bytes(&payload, word, sizeof(word));
        strbuf_deinit(&f->image);
        kernel_image_bzimage(&f->image, payload.data, payload.len);
        assert_int_equal(load(f, &kernel, NULL), 0);
        assert_true(kernel.unpacked);
        assert_memory_equal(guest_mem_ptr(f->mem, KERNEL_IMAGE_TEXT, text_size),
                            elf.data + KERNEL_IMAGE_TEXT_OFFSET, text_size);
        /* What the unpacker worked in is fresh again. */
        rest = guest_mem_ptr(f->mem, KERNEL_IMAGE_END, KERNEL_IMAGE_RAM - KERNEL_IMAGE_END);
        for (size_t i = 0; i < KERNEL_IMAGE_RAM - KERNEL_IMAGE_END; i++)
                if (rest[i] != 0)
                        fail_msg("byte %zu above the kernel is 0x%02x", i, rest[i]);
}

static void assert_left_to_the_stub(Fixture *f) {
        LoadedKernel kernel;

        assert_int_equal(load(f, &kernel, NULL), 0);
        assert_false(kernel.unpacked);
        assert_int_equal(kernel.entry, KERNEL_IMAGE_TEXT + 0x200);
        assert_int_equal(kernel.end, KERNEL_IMAGE_TEXT + KERNEL_IMAGE_INIT_SIZE);
        assert_memory_equal(guest_mem_ptr(f->mem, KERNEL_IMAGE_TEXT, f->image.len - STUB_OFFSET),
                            f->image.data + STUB_OFFSET, f->image.len - STUB_OFFSET);
}

static void test_an_unknown_format_is_left_to_the_stub(void **state) {
        Fixture *f = *state;

        memcpy(f->image.data + STUB_OFFSET + KERNEL_IMAGE_PAYLOAD, "BZh9", 4);
        assert_left_to_the_stub(f);
        header(f)->payload_length = 0;
        assert_left_to_the_stub(f);
}

static void test_a_packed_kernel_that_is_no_elf_is_left_to_the_stub(void **state) {
        static const char plain[70000] = "not an ELF";
        Fixture *f = *state;
        _cleanup_(strbuf_deinit) StrBuf payload = {0};

        kernel_image_pack(&payload, UNPACK_FORMAT_GZIP, plain, sizeof(plain));
        strbuf_deinit(&f->image);
        kernel_image_bzimage(&f->image, payload.data, payload.len);
        assert_left_to_the_stub(f);
}

static void test_a_corrupt_packed_kernel_is_refused(void **state) {
        Fixture *f = *state;

        f->image.data[STUB_OFFSET + KERNEL_IMAGE_PAYLOAD + 500] ^= 0x55;
        assert_refused(f, -EBADMSG, "corrupt");
}

static void test_a_decompression_bomb_is_refused(void **state) {
        Fixture *f = *state;
        uint8_t *declared = (uint8_t *) f->image.data + STUB_OFFSET + KERNEL_IMAGE_PAYLOAD +
                            header(f)->payload_length - 4;

        le32_store(declared, 4096); /* comes out larger */
        assert_refused(f, -EFBIG, "unpacks to more than the 4096 bytes that it declares");
        le32_store(declared, UINT32_MAX); /* does not fit RAM in the first place */
        assert_refused(f, -EFBIG, "unpacks to 4095 MiB, the VM has 64 MiB of RAM");
}

static void test_each_field_of_the_header_is_checked(void **state) {
        Fixture *f = *state;
        const struct setup_header good = *header(f);

        header(f)->version = 0x020b;
        assert_refused(f, -ENOEXEC, "boot protocol 2.11 is older than 2.12");
        *header(f) = good;
        header(f)->loadflags = 0;
        assert_refused(f, -ENOEXEC, "zImage");
        *header(f) = good;
        header(f)->xloadflags = 0;
        assert_refused(f, -ENOEXEC, "no 64-bit entry");
        *header(f) = good;
        header(f)->syssize = 0;
        assert_refused(f, -ENOEXEC, "declares no kernel");
        *header(f) = good;
        header(f)->syssize = UINT32_MAX;
        assert_refused(f, -ENODATA, "truncated");
        *header(f) = good;
        header(f)->setup_sects = 255;
        assert_refused(f, -ENODATA, "truncated");
        *header(f) = good;
        header(f)->payload_offset = UINT32_MAX;
        assert_refused(f, -ENOEXEC, "outside the image");
        *header(f) = good;
        header(f)->payload_length = UINT32_MAX;
        assert_refused(f, -ENOEXEC, "outside the image");
        *header(f) = good;
        header(f)->payload_length = 4;
        assert_refused(f, -ENOEXEC, "outside the image");
        *header(f) = good;
        header(f)->pref_address = 0x1000;
        assert_refused(f, -ENOEXEC, "not between 1 MiB and 4 GiB");
        *header(f) = good;
        header(f)->pref_address = UINT64_MAX;
        assert_refused(f, -ENOEXEC, "not between 1 MiB and 4 GiB");
        *header(f) = good;
        header(f)->init_size = 16;
        assert_refused(f, -ENOEXEC, "less room than it is large");
        *header(f) = good;
        header(f)->init_size = UINT32_MAX;
        assert_refused(f, -EFBIG, "the VM has 64 MiB of RAM");
        *header(f) = good;
        header(f)->jump = 0x00eb; /* a header that ends before it says anything */
        assert_refused(f, -ENOEXEC, "boot protocol 0.00");
        *header(f) = good;
        header(f)->header = 0;
        assert_refused(f, -ENOEXEC, "neither a bzImage nor an ELF");
}

static void test_a_header_longer_than_known_is_cut_to_its_room(void **state) {
        Fixture *f = *state;
        LoadedKernel kernel;

        header(f)->jump = 0xffeb;
        assert_int_equal(load(f, &kernel, NULL), 0);
        assert_int_equal(kernel.setup_header_size, SETUP_HEADER_SIZE_MAX);
}

static void test_a_truncated_file_is_refused(void **state) {
        Fixture *f = *state;

        f->image.len -= 100;
        assert_refused(f, -ENODATA, "truncated");
        f->image.len = BZIMAGE_HEAD_SIZE;
        assert_refused(f, -ENODATA, "truncated");
        f->image.len = BZIMAGE_HEAD_SIZE - 1;
        assert_refused(f, -ENOEXEC, "too short to be a kernel");
}

static void test_an_elf_kernel_is_recognised(void **state) {
        Fixture *f = *state;
        LoadedKernel kernel;

        strbuf_deinit(&f->image);
        kernel_image_make(&f->image, UNPACK_FORMAT_UNKNOWN);
        assert_int_equal(load(f, &kernel, NULL), 0);
        assert_int_equal(kernel.entry, KERNEL_IMAGE_TEXT);
        assert_int_equal(kernel.setup_header_size, 0);
        assert_int_equal(kernel.cmdline_max, 2047);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_every_known_format_is_unpacked_and_entered_directly),
                TEST(test_a_kernel_of_several_lz4_blocks_is_unpacked),
                TEST(test_an_unknown_format_is_left_to_the_stub),
                TEST(test_a_packed_kernel_that_is_no_elf_is_left_to_the_stub),
                TEST(test_a_corrupt_packed_kernel_is_refused),
                TEST(test_a_decompression_bomb_is_refused),
                TEST(test_each_field_of_the_header_is_checked),
                TEST(test_a_header_longer_than_known_is_cut_to_its_room),
                TEST(test_a_truncated_file_is_refused),
                TEST(test_an_elf_kernel_is_recognised),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
