/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "config/composite.h"
#include "dbus/client/client.h"
#include "dbus/client/image_file.h"
#include "dbus/client/partitioned_disk.h"

#define IMAGE_MAX (1u << 20)

static char dir[32];

static int setup(void **state) {
        (void) snprintf(dir, sizeof(dir), "/tmp/vivctl-disk-XXXXXX");
        return mkdtemp(dir) ? chdir(dir) : -1;
}

static int teardown(void **state) {
        static const char *const files[] = {"a",           "b",           "c",           "disk",
                                            "disk.header", "disk.footer", "disk.filler", "raw"};

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                (void) unlink(files[i]);
        return chdir("/") < 0 ? -1 : rmdir(dir); /* fails if anything else was left */
}

static void write_file(const char *path, size_t len, char fill) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        _cleanup_(freep) char *bytes = malloc(len + 1);

        assert_true(fd >= 0);
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++)
                bytes[i] = (char) (fill + (char) (i % 7));
        assert_int_equal(fd_write_all(fd, bytes, len), 0);
}

static char *read_file(const char *path, size_t *ret_len) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char *bytes;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, IMAGE_MAX, &bytes, ret_len), 0);
        return bytes;
}

static void open_disk(PartitionedDisk *disk) {
        static const char *const words[] = {"first=a", "second=b:ro", "third=c"};

        write_file("a", 4096, 'a');
        write_file("b", 5000, 'k'); /* ends in the middle of a sector */
        write_file("c", 65536 + 512, 'r');
        assert_int_equal(partitioned_disk_open(words, 3, disk, NULL), 0);
}

static void assert_content(const char *image, const GptPartition *entry, const char *path) {
        size_t len;
        _cleanup_(freep) char *bytes = read_file(path, &len);

        assert_int_equal(len, entry->size_bytes);
        assert_memory_equal(image + entry->offset_bytes, bytes, len);
}

static void test_a_raw_disk_has_a_table_and_what_is_in_the_files(void **state) {
        _cleanup_(partitioned_disk_deinit) PartitionedDisk disk = {0};
        _cleanup_(freep) char *image = NULL;
        size_t len;

        open_disk(&disk);
        assert_int_equal(partitioned_disk_write_raw(&disk, "raw", NULL), 0);
        image = read_file("raw", &len);
        assert_int_equal(len, disk.gpt.disk_size);
        assert_memory_equal(image + 512, "EFI PART", 8);
        assert_memory_equal(image + len - 512, "EFI PART", 8);
        assert_content(image, &disk.table[0], "a");
        assert_content(image, &disk.table[1], "b");
        assert_content(image, &disk.table[2], "c");
}

static void test_a_composite_disk_comes_to_the_same_bytes(void **state) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};
        _cleanup_(partitioned_disk_deinit) PartitionedDisk disk = {0};
        _cleanup_(freep) char *raw = NULL, *file = NULL, *joined = calloc(1, IMAGE_MAX);
        static const bool writable[] = {false, true, false, false, true, false, false};
        size_t len, raw_len;

        assert_non_null(joined);
        open_disk(&disk);
        assert_int_equal(partitioned_disk_write_raw(&disk, "raw", NULL), 0);
        assert_int_equal(partitioned_disk_write_composite(&disk, "disk", NULL), 0);
        raw = read_file("raw", &raw_len);
        file = read_file("disk", &len);
        assert_int_equal(composite_decode(file, len, &spec, NULL), 0);
        assert_int_equal(spec.size, raw_len);
        assert_int_equal(spec.n_parts, ELEMENTSOF(writable));
        for (size_t i = 0; i < spec.n_parts; i++) {
                const CompositePart *part = &spec.parts[i];
                size_t part_len;
                _cleanup_(freep) char *bytes = read_file(part->path, &part_len);

                assert_int_equal(part->path[0], '/');
                assert_int_equal(part->writable, writable[i]);
                memcpy(joined + part->offset, bytes, MIN(part_len, (size_t) part->size));
        }
        assert_memory_equal(joined, raw, raw_len);
}

static void expect_refusal(const char *word, const char *sentence) {
        _cleanup_(text_error_deinit) TextError error = {0};
        PartitionedDisk disk = {0};

        assert_true(partitioned_disk_open(&word, 1, &disk, &error) < 0);
        assert_non_null(error.message);
        if (!strstr(error.message, sentence))
                fail_msg("\"%s\" is not in: %s", sentence, error.message);
        assert_null(disk.partitions);
}

static void test_what_makes_no_partition_is_refused_by_name(void **state) {
        write_file("a", 0, 'a');
        write_file("b", 1000, 'b');
        expect_refusal("b", "expected LABEL=FILE");
        expect_refusal("=b", "expected LABEL=FILE");
        expect_refusal("l=nowhere", "cannot find \"nowhere\"");
        expect_refusal("l=a", "is empty");
        expect_refusal("l=b", "has 1000 bytes; a writable partition needs a multiple of 512");
        expect_refusal("l=/dev/null", "neither a regular file nor a block device");
        expect_refusal("a label that is longer than thirty-six characters=b:ro", "");
}

static void test_no_file_is_overwritten_and_none_is_left_behind(void **state) {
        _cleanup_(partitioned_disk_deinit) PartitionedDisk disk = {0};
        _cleanup_(text_error_deinit) TextError error = {0};

        open_disk(&disk);
        write_file("disk.footer", 3, 'x');
        assert_int_equal(partitioned_disk_write_composite(&disk, "disk", &error), -EEXIST);
        assert_non_null(strstr(error.message, "disk.footer\" exists already"));
        assert_int_equal(access("disk", F_OK), -1);
        assert_int_equal(access("disk.header", F_OK), -1);
        assert_int_equal(access("disk.filler", F_OK), -1);
        assert_int_equal(access("disk.footer", F_OK), 0);
        text_error_deinit(&error);
        error = (TextError){0};
        assert_int_equal(partitioned_disk_write_raw(&disk, "a", &error), -EEXIST);
        assert_int_equal(access("a", F_OK), 0);
}

static void test_zeros_take_no_room(void **state) {
        _cleanup_(image_file_deinit) ImageFile image = IMAGE_FILE_NONE;
        _cleanup_(fd_closep) int from = -EBADF;
        struct stat st;

        write_file("a", 0, 'a');
        assert_int_equal(truncate("a", 1 << 20), 0);
        from = open("a", O_RDONLY | O_CLOEXEC);
        assert_int_equal(image_file_create("raw", &image, NULL), 0);
        assert_int_equal(image_file_grow(&image, 1 << 20, NULL), 0);
        assert_int_equal(image_file_copy(&image, from, 1 << 20, 0, NULL), 0);
        assert_int_equal(stat("raw", &st), 0);
        assert_int_equal(st.st_size, 1 << 20);
        assert_int_equal(st.st_blocks, 0);
}

static void expect_size(const char *text, uint64_t expected) {
        uint64_t size = 0;

        assert_int_equal(image_parse_size(text, &size, NULL), 0);
        assert_true(size == expected);
}

static void test_sizes_have_units(void **state) {
        static const char *const bad[] = {"",
                                          "0",
                                          "K",
                                          "-1",
                                          "1k",
                                          "1KiB",
                                          "1.5G",
                                          "1 M",
                                          "M1",
                                          "18446744073709551616",
                                          "17179869184G"};
        uint64_t size;

        expect_size("1", 1);
        expect_size("4096", 4096);
        expect_size("3K", 3072);
        expect_size("512M", UINT64_C(512) << 20);
        expect_size("8G", UINT64_C(8) << 30);
        expect_size("1T", UINT64_C(1) << 40);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(image_parse_size(bad[i], &size, NULL), CLIENT_E_USAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_raw_disk_has_a_table_and_what_is_in_the_files),
                TEST(test_a_composite_disk_comes_to_the_same_bytes),
                TEST(test_what_makes_no_partition_is_refused_by_name),
                TEST(test_no_file_is_overwritten_and_none_is_left_behind),
                TEST(test_zeros_take_no_room),
                cmocka_unit_test(test_sizes_have_units),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
