/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/elf.h"

/* Sends @elf through a stream, as much at a time as the sink takes and @most allows. */
static int send(const GuestMem *mem, const StrBuf *elf, size_t most, ElfImage *ret,
                TextError *error) {
        _cleanup_(freep) ElfStream *stream = malloc(sizeof(*stream));
        UnpackSink sink;

        assert_non_null(stream);
        elf_stream_init(stream, mem, KERNEL_IMAGE_RAM, error);
        sink = elf_stream_sink(stream);
        for (size_t at = 0, n; at < elf->len; at += n) {
                void *to = sink.reserve(sink.userdata, MIN(most, elf->len - at), &n);
                int r;

                assert_non_null(to);
                assert_in_range(n, 1, most);
                memcpy(to, elf->data + at, n);
                r = sink.commit(sink.userdata, n);
                if (r < 0)
                        return r;
        }
        return elf_stream_finish(stream, ret);
}

static void test_pieces_of_any_size_give_the_same_memory(void **state) {
        static const size_t most[] = {1, 100, ELF_HEAD_MAX, ELF_HEAD_MAX + 1, SIZE_MAX};
        _cleanup_(strbuf_deinit) StrBuf elf = {0};

        kernel_image_elf(&elf, KERNEL_IMAGE_TEXT_SIZE);
        for (size_t i = 0; i < ELEMENTSOF(most); i++) {
                _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
                ElfImage image;

                assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
                assert_int_equal(send(mem, &elf, most[i], &image, NULL), 0);
                assert_int_equal(image.n_segments, 3);
                for (unsigned s = 0; s < image.n_segments; s++)
                        assert_memory_equal(guest_mem_ptr(mem, image.segments[s].gpa,
                                                          image.segments[s].file_size),
                                            elf.data + image.segments[s].file_offset,
                                            image.segments[s].file_size);
                assert_int_equal(*(uint8_t *) guest_mem_ptr(
                                         mem, KERNEL_IMAGE_TEXT + KERNEL_IMAGE_TEXT_SIZE, 1),
                                 0);
        }
}

static void test_a_large_segment_is_offered_in_one_piece(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strbuf_deinit) StrBuf elf = {0};
        _cleanup_(freep) ElfStream *stream = malloc(sizeof(*stream));
        UnpackSink sink;
        size_t n;

        assert_non_null(stream);
        assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
        kernel_image_elf(&elf, 9 << 20);
        elf_stream_init(stream, mem, KERNEL_IMAGE_RAM, NULL);
        sink = elf_stream_sink(stream);
        memcpy(sink.reserve(sink.userdata, SIZE_MAX, &n), elf.data, ELF_HEAD_MAX);
        assert_int_equal(n, ELF_HEAD_MAX);
        assert_int_equal(sink.commit(sink.userdata, n), 0);
        assert_ptr_equal(
                sink.reserve(sink.userdata, 8 << 20, &n),
                guest_mem_ptr(mem, KERNEL_IMAGE_TEXT + ELF_HEAD_MAX - KERNEL_IMAGE_TEXT_OFFSET, 1));
        assert_int_equal(n, 8 << 20);
}

static void test_an_end_inside_a_segment_is_refused(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strbuf_deinit) StrBuf elf = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        ElfImage image;

        assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
        kernel_image_elf(&elf, KERNEL_IMAGE_TEXT_SIZE);
        elf.len -= 41; /* 40 bytes of padding follow the last segment */
        assert_int_equal(send(mem, &elf, 512, &image, &error), -ENOEXEC);
        assert_non_null(strstr(error.message, "ends inside a segment"));
}

static void test_a_kernel_beyond_the_limit_is_refused(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(freep) ElfStream *stream = malloc(sizeof(*stream));
        _cleanup_(strbuf_deinit) StrBuf elf = {0};
        UnpackSink sink;
        size_t n;

        assert_non_null(stream);
        assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
        kernel_image_elf(&elf, KERNEL_IMAGE_TEXT_SIZE);
        elf_stream_init(stream, mem, KERNEL_IMAGE_END - 1, NULL);
        sink = elf_stream_sink(stream);
        memcpy(sink.reserve(sink.userdata, SIZE_MAX, &n), elf.data, ELF_HEAD_MAX);
        assert_int_equal(sink.commit(sink.userdata, ELF_HEAD_MAX), -ENOEXEC);
}

static void test_what_is_no_kernel_is_refused_with_the_first_bytes(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strbuf_deinit) StrBuf elf = {0};
        ElfImage image;

        assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
        kernel_image_elf(&elf, KERNEL_IMAGE_TEXT_SIZE);
        elf.data[EI_CLASS] = ELFCLASS32;
        assert_int_equal(send(mem, &elf, 512, &image, NULL), -ENOEXEC);
        elf.len = 10;
        assert_int_equal(send(mem, &elf, 512, &image, NULL), -ENOEXEC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pieces_of_any_size_give_the_same_memory),
                cmocka_unit_test(test_a_large_segment_is_offered_in_one_piece),
                cmocka_unit_test(test_an_end_inside_a_segment_is_refused),
                cmocka_unit_test(test_a_kernel_beyond_the_limit_is_refused),
                cmocka_unit_test(test_what_is_no_kernel_is_refused_with_the_first_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
