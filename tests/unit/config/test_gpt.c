/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "config/gpt.h"

static const uint8_t disk_guid[16] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
                                      0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x01};

/* The polynomial the long way round, apart from the one that is tested. */
static uint32_t reference_crc32(const uint8_t *data, size_t len) {
        uint32_t table[256], crc = UINT32_MAX;

        for (uint32_t i = 0; i < 256; i++) {
                table[i] = i;
                for (unsigned bit = 0; bit < 8; bit++)
                        table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320 : table[i] >> 1;
        }
        for (size_t i = 0; i < len; i++)
                crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
        return ~crc;
}

static void test_the_reference_sum_is_right(void **state) {
        assert_int_equal(reference_crc32((const uint8_t *) "123456789", 9), 0xcbf43926);
}

static void check_header(const uint8_t *sector, const uint8_t *entries, uint64_t self,
                         uint64_t other, uint64_t entries_lba, uint64_t last_usable) {
        uint8_t copy[92];

        assert_memory_equal(sector, "EFI PART\0\0\1\0\x5c\0\0\0", 16);
        memcpy(copy, sector, sizeof(copy));
        le32_store(copy + 16, 0);
        assert_int_equal(le32_load(sector + 16), reference_crc32(copy, sizeof(copy)));
        assert_int_equal(le64_load(sector + 24), self);
        assert_int_equal(le64_load(sector + 32), other);
        assert_int_equal(le64_load(sector + 40), 40);
        assert_int_equal(le64_load(sector + 48), last_usable);
        assert_memory_equal(sector + 56, "\x44\x33\x22\x11\x66\x55\x88\x77\x99\xaa", 10);
        assert_int_equal(le64_load(sector + 72), entries_lba);
        assert_int_equal(le32_load(sector + 80), 128);
        assert_int_equal(le32_load(sector + 84), 128);
        assert_int_equal(le32_load(sector + 88), reference_crc32(entries, 128 * 128));
}

static void test_both_tables_describe_the_partitions(void **state) {
        GptPartition parts[] = {
                {.label = "boot", .size_bytes = 10000, .guid = {1}},
                {.label = "r\xc3\xa9\xf0\x9f\x98\x80", .size_bytes = 1 << 20, .guid = {2}},
        };
        _cleanup_(gpt_image_deinit) GptImage image = {0};
        const uint8_t *entry, *backup;
        uint64_t sectors;

        assert_int_equal(gpt_build(parts, 2, disk_guid, &image, NULL), 0);
        assert_int_equal(parts[0].offset_bytes, 20480);
        assert_int_equal(parts[1].offset_bytes, 20480 + 12288);
        assert_int_equal(image.tail_offset, 20480 + 12288 + (1 << 20));
        assert_int_equal(image.disk_size % 65536, 0);
        assert_int_equal(image.tail_offset + image.tail_size, image.disk_size);
        sectors = image.disk_size / 512;
        entry = image.head + 1024;
        backup = image.tail + image.tail_size - 512;
        check_header(image.head + 512, entry, 1, sectors - 1, 2, sectors - 34);
        check_header(backup, backup - 16384, sectors - 1, 1, sectors - 33, sectors - 34);
        assert_memory_equal(entry, backup - 16384, 16384);
        assert_memory_equal(entry,
                            "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4", 16);
        assert_int_equal(le64_load(entry + 32), 40);
        assert_int_equal(le64_load(entry + 40), 40 + 19); /* 10000 bytes begin 20 sectors */
        assert_memory_equal(entry + 56, "b\0o\0o\0t\0\0\0", 10);
        assert_memory_equal(entry + 128 + 56, "r\0\xe9\0\x3d\xd8\x00\xde\0\0", 10);
        assert_int_equal(le64_load(entry + 256 + 32), 0);
        assert_int_equal(le16_load(image.head + 510), 0xaa55);
        assert_int_equal(image.head[446 + 4], 0xee);
        assert_int_equal(le32_load(image.head + 446 + 8), 1);
        assert_int_equal(le32_load(image.head + 446 + 12), sectors - 1);
}

/* util-linux's own reader checks every sum and field before it lists anything. */
static void test_util_linux_reads_the_table(void **state) {
        GptPartition parts[GPT_PARTITIONS_MAX];
        _cleanup_(gpt_image_deinit) GptImage image = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[] = "/tmp/vivarium-gpt-XXXXXX", labels[GPT_PARTITIONS_MAX][8];
        char command[256], line[256];
        unsigned n = 0;
        FILE *out;

        if (access("/usr/bin/partx", X_OK) < 0) {
                print_message("partx is not installed\n");
                skip();
        }
        for (unsigned i = 0; i < GPT_PARTITIONS_MAX; i++) {
                (void) snprintf(labels[i], sizeof(labels[i]), "p%u", i);
                parts[i] = (GptPartition){.label = labels[i], .size_bytes = 512 + i * 1000};
                gpt_make_guid(labels[i], sizeof(labels[i]), parts[i].guid);
        }
        assert_int_equal(gpt_build(parts, GPT_PARTITIONS_MAX, disk_guid, &image, NULL), 0);
        fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, image.head, GPT_HEAD_SIZE, 0), GPT_HEAD_SIZE);
        assert_int_equal(pwrite(fd, image.tail, image.tail_size, (off_t) image.tail_offset),
                         image.tail_size);
        (void) snprintf(command, sizeof(command),
                        "/usr/bin/partx --raw --noheadings --output NR,START,SECTORS,NAME %s",
                        path);
        out = popen(command, "r");
        assert_non_null(out);
        for (; fgets(line, sizeof(line), out); n++) {
                char expected[256];

                assert_true(n < GPT_PARTITIONS_MAX);
                (void) snprintf(expected, sizeof(expected), "%u %llu %llu p%u\n", n + 1,
                                (unsigned long long) parts[n].offset_bytes / 512,
                                (unsigned long long) (parts[n].size_bytes + 511) / 512, n);
                assert_string_equal(line, expected);
        }
        assert_int_equal(pclose(out), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(n, GPT_PARTITIONS_MAX);
}

static void test_sizes_and_labels_have_limits(void **state) {
        GptPartition empty = {.label = "a"}, large = {.label = "a", .size_bytes = UINT64_MAX};
        GptPartition pair[] = {{.label = "a", .size_bytes = UINT64_C(1) << 60},
                               {.label = "b", .size_bytes = UINT64_C(1) << 60}};
        GptPartition unnamed = {.label = "", .size_bytes = 512};
        GptPartition named = {.label = "1234567890123456789012345678901234567", .size_bytes = 512};
        GptImage image;

        assert_int_equal(gpt_build(&empty, 1, disk_guid, &image, NULL), -EINVAL);
        assert_int_equal(gpt_build(&large, 1, disk_guid, &image, NULL), -EFBIG);
        assert_int_equal(gpt_build(pair, 2, disk_guid, &image, NULL), -EFBIG);
        assert_int_equal(gpt_build(&unnamed, 1, disk_guid, &image, NULL), -EINVAL);
        assert_int_equal(gpt_build(&named, 1, disk_guid, &image, NULL), -EINVAL);
        assert_int_equal(gpt_build(&named, 129, disk_guid, &image, NULL), -E2BIG);
}

static void test_a_guid_depends_on_the_seed_alone(void **state) {
        uint8_t a[16], b[16], c[16];

        gpt_make_guid("x", 1, a);
        gpt_make_guid("x", 1, b);
        gpt_make_guid("y", 1, c);
        assert_memory_equal(a, b, 16);
        assert_memory_not_equal(a, c, 16);
        assert_memory_not_equal(a, c + 8, 8);
        assert_int_equal(a[6] >> 4, 8);
        assert_int_equal(a[8] >> 6, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_reference_sum_is_right),
                cmocka_unit_test(test_both_tables_describe_the_partitions),
                cmocka_unit_test(test_util_linux_reads_the_table),
                cmocka_unit_test(test_sizes_and_labels_have_limits),
                cmocka_unit_test(test_a_guid_depends_on_the_seed_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
