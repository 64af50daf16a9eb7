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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "tests/fake/vmm_disk.h"
#include "vmm/block/block_internal.h"

static int open_disk(FakeDisk *disk, const char *path, BlockOpenOptions options,
                     TextError *reterr) {
        if (!disk->loop)
                assert_int_equal(loop_new(&disk->loop), 0);
        return block_open(path, &options, disk->loop, &disk->dev, reterr);
}

static void check_refused(const char *path, BlockOpenOptions options, int expected,
                          const char *words) {
        _cleanup_(fake_disk_deinit) FakeDisk disk = {0};
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(open_disk(&disk, path, options, &error), expected);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("'%s' does not say '%s'", error.message, words);
}

static void test_a_raw_image_opens_with_its_size(void **state) {
        _cleanup_(fake_disk_deinit) FakeDisk disk = {0};
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 1234567);
        uint8_t byte;

        assert_int_equal(open_disk(&disk, path, (BlockOpenOptions){.sparse = true}, NULL), 0);
        assert_int_equal(disk.dev->size_bytes, 1234567);
        assert_int_equal(disk.dev->align_bytes, 1);
        assert_true(disk.dev->discards);
        assert_false(disk.dev->read_only);
        assert_int_equal(fake_disk_read(&disk, 0, &byte, 1), 0);
        assert_int_equal(byte, 'x');
}

static void test_a_read_only_disk_cannot_be_changed(void **state) {
        _cleanup_(fake_disk_deinit) FakeDisk disk = {0};
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 4096);
        uint8_t data[512] = {0};

        assert_int_equal(chmod(path, 0400), 0);
        assert_int_equal(open_disk(&disk, path, (BlockOpenOptions){.read_only = true}, NULL), 0);
        assert_true(disk.dev->read_only);
        assert_false(disk.dev->discards);
        assert_int_equal(fake_disk_write(&disk, 512, data, 512), -EROFS);
        assert_int_equal(fake_disk_discard(&disk, 512, 512), -EROFS);
        assert_int_equal(fake_disk_write_zeroes(&disk, 512, 512, true), -EROFS);
        assert_int_equal(fake_disk_read(&disk, 0, data, 512), 0);
}

static void test_other_formats_are_refused_by_name(void **state) {
        static const struct {
                const char *name;
                uint8_t head[128];
                size_t len;
        } table[] = {
                {"qcow2", "QFI\xfb\0\0\0\3", 8},
                {"VMDK", "KDMV", 4},
                {"VMDK", "# Disk DescriptorFile\n", 22},
                {"VHDX", "vhdxfile", 8},
                {"Android sparse", "\x3a\xff\x26\xed\1", 5},
                {"zstd", "\x28\xb5\x2f\xfd", 4},
                {"VDI", {[0x40] = 0x7f, 0x10, 0xda, 0xbe}, 0x44},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(temp_file_freep) char *path =
                        temp_file_new(table[i].head, table[i].len, 65536);

                check_refused(path, (BlockOpenOptions){0}, -EOPNOTSUPP, table[i].name);
        }
        assert_null(block_format_refused((const uint8_t *) "QFI", 3));
        assert_null(block_format_refused((const uint8_t *) "", 0));
}

static void test_what_is_no_disk_is_refused(void **state) {
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 4096);

        check_refused("/nonexistent/disk", (BlockOpenOptions){0}, -ENOENT, "/nonexistent/disk");
        check_refused("/tmp", (BlockOpenOptions){.read_only = true}, -EINVAL, "neither");
        check_refused("/dev/zero", (BlockOpenOptions){.read_only = true}, -EINVAL, "neither");
        check_refused("/proc/self/fd/99999", (BlockOpenOptions){0}, -EBADF, "99999");
}

static void test_a_lock_keeps_a_second_writer_out(void **state) {
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 4096);
        _cleanup_(fake_disk_deinit) FakeDisk writer = {0};
        BlockOpenOptions lock = {.lock = true}, read_lock = {.lock = true, .read_only = true};
        char number[32];
        int fd = open(path, O_RDWR); /* inheritable, as the launcher hands it over */

        assert_int_equal(open_disk(&writer, path, lock, NULL), 0);
        (void) snprintf(number, sizeof(number), "/proc/self/fd/%d", fd);
        check_refused(number, lock, -EBUSY, path);
        assert_int_equal(close(fd), 0);
        check_refused(path, lock, -EBUSY, "is in use");
        check_refused(path, read_lock, -EBUSY, "is in use");
        fake_disk_deinit(&writer);

        {
                _cleanup_(fake_disk_deinit) FakeDisk a = {0}, b = {0}, c = {0};

                assert_int_equal(open_disk(&a, path, read_lock, NULL), 0);
                assert_int_equal(open_disk(&b, path, read_lock, NULL), 0);
                check_refused(path, lock, -EBUSY, "is in use");
                assert_int_equal(open_disk(&c, path, (BlockOpenOptions){0}, NULL), 0);
        }
}

static void test_an_inherited_descriptor_is_a_disk(void **state) {
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 4096);
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY);
        _cleanup_(fake_disk_deinit) FakeDisk disk = {0};
        char name[32];

        assert_true(fd >= 0);
        (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        check_refused(name, (BlockOpenOptions){0}, -EACCES, name);
        assert_int_equal(open_disk(&disk, name, (BlockOpenOptions){.read_only = true}, NULL), 0);
        assert_int_equal(disk.dev->size_bytes, 4096);
}

static void test_direct_access_asks_for_aligned_requests(void **state) {
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 1 << 20);
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_DIRECT);
        _cleanup_(fake_disk_deinit) FakeDisk disk = {0};
        uint8_t data[8193];

        if (fd < 0) {
                print_message("no O_DIRECT on /tmp\n");
                skip();
        }
        assert_int_equal(open_disk(&disk, path, (BlockOpenOptions){.direct = true}, NULL), 0);
        assert_in_range(disk.dev->align_bytes, 512, 4096);
        memset(data, 0x5a, sizeof(data));
        assert_int_equal(fake_disk_write(&disk, 4096, data + 1, 8192), 0);
        memset(data, 0, sizeof(data));
        assert_int_equal(fake_disk_read(&disk, 4096, data, 8192), 0);
        assert_int_equal(data[8191], 0x5a);
        assert_int_equal(fake_disk_read(&disk, 1, data, 512), -EINVAL);
}

static void test_a_descriptor_that_was_opened_for_direct_access_is_used_so(void **state) {
        _cleanup_(temp_file_freep) char *path = temp_file_new("x", 1, 1 << 20);
        int fd = open(path, O_RDWR | O_DIRECT); /* the disk's, if it is there */
        _cleanup_(fake_disk_deinit) FakeDisk disk = {0};
        char name[32];

        if (fd < 0) {
                print_message("no O_DIRECT on /tmp\n");
                skip();
        }
        (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        assert_int_equal(open_disk(&disk, name, (BlockOpenOptions){0}, NULL), 0);
        assert_true(block_is_direct(disk.dev));
        assert_in_range(disk.dev->align_bytes, 512, 4096);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_raw_image_opens_with_its_size),
                cmocka_unit_test(test_a_read_only_disk_cannot_be_changed),
                cmocka_unit_test(test_other_formats_are_refused_by_name),
                cmocka_unit_test(test_what_is_no_disk_is_refused),
                cmocka_unit_test(test_a_lock_keeps_a_second_writer_out),
                cmocka_unit_test(test_an_inherited_descriptor_is_a_disk),
                cmocka_unit_test(test_direct_access_asks_for_aligned_requests),
                cmocka_unit_test(test_a_descriptor_that_was_opened_for_direct_access_is_used_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
