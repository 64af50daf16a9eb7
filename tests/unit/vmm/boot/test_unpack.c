/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/unpack.h"

/* Collects the output, giving room in pieces of @piece bytes. */
typedef struct Collector {
        StrBuf out;
        uint8_t *room;
        size_t piece;
        void *scratch; /* borrowed, may be NULL */
        int fail_with; /* what commit() returns, 0 for success */
} Collector;

static void *collector_reserve(void *userdata, size_t want, size_t *ret_len) {
        Collector *collector = userdata;

        *ret_len = MIN(want, collector->piece);
        return collector->room;
}

static int collector_commit(void *userdata, size_t len) {
        Collector *collector = userdata;

        strbuf_append_bytes(&collector->out, collector->room, len);
        return collector->fail_with;
}

static void collector_init(Collector *collector, size_t piece) {
        *collector = (Collector){.room = malloc(piece), .piece = piece};
        assert_non_null(collector->room);
}

static void collector_deinit(Collector *collector) {
        free(collector->room);
        strbuf_deinit(&collector->out);
}

static int run(Collector *collector, const StrBuf *packed, uint64_t len, UnpackFormat format,
               uint64_t max, TextError *error) {
        _cleanup_(image_file_deinit) ImageFile file = kernel_image_file(packed->data, packed->len);
        const UnpackSink sink = {collector, collector_reserve, collector_commit};
        uint64_t size = 0;
        int r;

        r = unpack(&(UnpackConfig){.file = &file,
                                   .len = len,
                                   .format = format,
                                   .size_max = max,
                                   .scratch = collector->scratch,
                                   .sink = &sink},
                   &size, error);
        if (r >= 0)
                assert_int_equal(size, collector->out.len);
        return r;
}

/* Data that neither compress to nothing nor stay as large as they are. */
static void make_plain(StrBuf *plain, size_t size) {
        kernel_image_elf(plain, size);
}

static void test_every_format_comes_back_as_it_was(void **state) {
        static const size_t pieces[] = {1000, 64 << 10, 9 << 20};
        _cleanup_(strbuf_deinit) StrBuf plain = {0};

        make_plain(&plain, 300000);
        for (UnpackFormat format = UNPACK_FORMAT_GZIP; format <= UNPACK_FORMAT_ZSTD; format++) {
                _cleanup_(strbuf_deinit) StrBuf packed = {0};

                kernel_image_pack(&packed, format, plain.data, plain.len);
                assert_int_equal(unpack_sniff((const uint8_t *) packed.data), format);
                for (size_t i = 0; i < ELEMENTSOF(pieces); i++) {
                        _cleanup_(collector_deinit) Collector collector;

                        collector_init(&collector, pieces[i]);
                        assert_int_equal(
                                run(&collector, &packed, packed.len, format, plain.len, NULL), 0);
                        assert_int_equal(collector.out.len, plain.len);
                        assert_memory_equal(collector.out.data, plain.data, plain.len);
                }
        }
}

static void test_output_beyond_the_declared_size_is_refused(void **state) {
        _cleanup_(strbuf_deinit) StrBuf plain = {0};

        make_plain(&plain, 300000);
        for (UnpackFormat format = UNPACK_FORMAT_GZIP; format <= UNPACK_FORMAT_ZSTD; format++) {
                _cleanup_(strbuf_deinit) StrBuf packed = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(collector_deinit) Collector collector;

                kernel_image_pack(&packed, format, plain.data, plain.len);
                collector_init(&collector, 70000);
                assert_int_equal(
                        run(&collector, &packed, packed.len, format, plain.len - 1, &error),
                        -EFBIG);
                assert_non_null(strstr(error.message, "more than the"));
                assert_true(collector.out.len <= plain.len - 1);
        }
}

static void test_a_truncated_stream_is_corrupt(void **state) {
        _cleanup_(strbuf_deinit) StrBuf plain = {0};

        make_plain(&plain, 300000);
        for (UnpackFormat format = UNPACK_FORMAT_GZIP; format <= UNPACK_FORMAT_ZSTD; format++) {
                _cleanup_(strbuf_deinit) StrBuf packed = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(collector_deinit) Collector collector;

                kernel_image_pack(&packed, format, plain.data, plain.len);
                collector_init(&collector, 70000);
                assert_int_equal(
                        run(&collector, &packed, packed.len - 9, format, plain.len, &error),
                        -EBADMSG);
                assert_non_null(strstr(error.message, "corrupt"));
        }
}

static void test_a_damaged_stream_never_passes(void **state) {
        /* The other formats have no checksum here, so that damage in their middle may go unseen. */
        static const UnpackFormat formats[] = {UNPACK_FORMAT_GZIP, UNPACK_FORMAT_XZ};
        _cleanup_(strbuf_deinit) StrBuf plain = {0};

        make_plain(&plain, 300000);
        for (size_t i = 0; i < ELEMENTSOF(formats); i++) {
                _cleanup_(strbuf_deinit) StrBuf packed = {0};
                _cleanup_(collector_deinit) Collector collector;
                int r;

                kernel_image_pack(&packed, formats[i], plain.data, plain.len);
                packed.data[packed.len / 2] ^= 0x55;
                collector_init(&collector, 70000);
                r = run(&collector, &packed, packed.len, formats[i], plain.len, NULL);
                assert_true(r == -EBADMSG || r == -EFBIG);
        }
}

static void test_bytes_after_the_stream_are_ignored(void **state) {
        _cleanup_(strbuf_deinit) StrBuf plain = {0};

        make_plain(&plain, 5000);
        for (UnpackFormat format = UNPACK_FORMAT_GZIP; format <= UNPACK_FORMAT_ZSTD; format++) {
                _cleanup_(strbuf_deinit) StrBuf packed = {0};
                _cleanup_(collector_deinit) Collector collector;

                kernel_image_pack(&packed, format, plain.data, plain.len);
                strbuf_append_bytes(&packed, "\0\0\0", 3);
                collector_init(&collector, 70000);
                assert_int_equal(run(&collector, &packed, packed.len, format, plain.len, NULL), 0);
                assert_int_equal(collector.out.len, plain.len);
        }
}

static void test_an_lz4_block_larger_than_any_is_corrupt(void **state) {
        static const uint8_t packed[] = {0x02, 0x21, 0x4c, 0x18, 0xff, 0xff, 0xff, 0x7f, 0, 0};
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(collector_deinit) Collector collector;
        _cleanup_(text_error_deinit) TextError error = {0};

        strbuf_append_bytes(&buf, packed, sizeof(packed));
        collector_init(&collector, 100);
        assert_int_equal(run(&collector, &buf, buf.len, UNPACK_FORMAT_LZ4, 1000, &error), -EBADMSG);
        assert_non_null(strstr(error.message, "larger than lz4 allows"));
}

static void test_an_xz_dictionary_beyond_the_limit_is_unsupported(void **state) {
        _cleanup_(strbuf_deinit) StrBuf packed = {0};
        _cleanup_(collector_deinit) Collector collector;

        kernel_image_pack(&packed, UNPACK_FORMAT_LZMA, "abc", 3);
        memcpy(packed.data + 1, "\0\0\0\x40", 4); /* 1 GiB */
        collector_init(&collector, 100);
        assert_int_equal(run(&collector, &packed, packed.len, UNPACK_FORMAT_LZMA, 3, NULL),
                         -EOPNOTSUPP);
}

static void test_what_the_sink_says_ends_the_unpacking(void **state) {
        _cleanup_(strbuf_deinit) StrBuf plain = {0};

        make_plain(&plain, 5000);
        for (UnpackFormat format = UNPACK_FORMAT_GZIP; format <= UNPACK_FORMAT_ZSTD; format++) {
                _cleanup_(strbuf_deinit) StrBuf packed = {0};
                _cleanup_(collector_deinit) Collector collector;

                kernel_image_pack(&packed, format, plain.data, plain.len);
                collector_init(&collector, 100);
                collector.fail_with = -ENOEXEC;
                assert_int_equal(run(&collector, &packed, packed.len, format, plain.len, NULL),
                                 -ENOEXEC);
                assert_int_equal(collector.out.len, 100);
        }
}

static void test_lz4_works_in_the_memory_it_is_given(void **state) {
        _cleanup_(freep) uint8_t *scratch = calloc(1, unpack_scratch_size(UNPACK_FORMAT_LZ4));
        _cleanup_(strbuf_deinit) StrBuf plain = {0}, packed = {0};
        _cleanup_(collector_deinit) Collector collector;

        assert_non_null(scratch);
        assert_int_equal(unpack_scratch_size(UNPACK_FORMAT_GZIP), 0);
        make_plain(&plain, 300000);
        kernel_image_pack(&packed, UNPACK_FORMAT_LZ4, plain.data, plain.len);
        collector_init(&collector, 70000);
        collector.scratch = scratch;
        assert_int_equal(run(&collector, &packed, packed.len, UNPACK_FORMAT_LZ4, plain.len, NULL),
                         0);
        assert_memory_equal(collector.out.data, plain.data, plain.len);
        assert_memory_equal(scratch, packed.data + 8, packed.len - 8);
}

static void test_unknown_magic_is_unknown(void **state) {
        static const uint8_t bzip2[UNPACK_MAGIC_SIZE] = "BZh91AY";
        static const uint8_t lzo[UNPACK_MAGIC_SIZE] = {0x89, 0x4c, 0x5a, 0x4f};

        assert_int_equal(unpack_sniff(bzip2), UNPACK_FORMAT_UNKNOWN);
        assert_int_equal(unpack_sniff(lzo), UNPACK_FORMAT_UNKNOWN);
        assert_string_equal(unpack_format_name(UNPACK_FORMAT_ZSTD), "zstd");
}

static void test_a_range_outside_the_file_is_refused(void **state) {
        _cleanup_(strbuf_deinit) StrBuf packed = {0};
        _cleanup_(collector_deinit) Collector collector;

        kernel_image_pack(&packed, UNPACK_FORMAT_GZIP, "abc", 3);
        collector_init(&collector, 100);
        assert_int_equal(run(&collector, &packed, packed.len + 1, UNPACK_FORMAT_GZIP, 3, NULL),
                         -ENODATA);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_format_comes_back_as_it_was),
                cmocka_unit_test(test_output_beyond_the_declared_size_is_refused),
                cmocka_unit_test(test_a_truncated_stream_is_corrupt),
                cmocka_unit_test(test_a_damaged_stream_never_passes),
                cmocka_unit_test(test_bytes_after_the_stream_are_ignored),
                cmocka_unit_test(test_an_lz4_block_larger_than_any_is_corrupt),
                cmocka_unit_test(test_an_xz_dictionary_beyond_the_limit_is_unsupported),
                cmocka_unit_test(test_what_the_sink_says_ends_the_unpacking),
                cmocka_unit_test(test_lz4_works_in_the_memory_it_is_given),
                cmocka_unit_test(test_unknown_magic_is_unknown),
                cmocka_unit_test(test_a_range_outside_the_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
