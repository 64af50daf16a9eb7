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
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "config/composite.h"
#include "tests/fake/vmm_disk.h"

#define PART 8192u

/* Three parts of PART bytes: 'a's read-only, 'b's writable and half as long as its range, 'c's writable. */
typedef struct Fixture {
        FakeDisk disk;
        char *a, *b, *c, *composite;
} Fixture;

static char *filled_file(char byte, size_t len) {
        uint8_t data[PART];

        memset(data, byte, len);
        return temp_file_new(data, len, len);
}

static char *composite_file(const char *const *paths, unsigned n, unsigned first_writable) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};
        _cleanup_(freep) void *data = NULL;
        size_t len;

        for (unsigned i = 0; i < n; i++)
                assert_int_equal(composite_spec_add(&spec, paths[i], i * PART, i >= first_writable),
                                 0);
        spec.size = n * PART;
        assert_int_equal(composite_encode(&spec, &data, &len), 0);
        return temp_file_new(data, len, len);
}

static int open_composite(Fixture *f, BlockOpenOptions options, TextError *reterr) {
        assert_int_equal(loop_new(&f->disk.loop), 0);
        return block_open(f->composite, &options, f->disk.loop, &f->disk.dev, reterr);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->a = filled_file('a', PART);
        f->b = filled_file('b', PART / 2);
        f->c = filled_file('c', PART);
        f->composite = composite_file((const char *[]){f->a, f->b, f->c}, 3, 1);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fake_disk_deinit(&f->disk);
        temp_file_freep(&f->a);
        temp_file_freep(&f->b);
        temp_file_freep(&f->c);
        temp_file_freep(&f->composite);
        free(f);
        return 0;
}

static void test_a_read_across_parts_is_put_together(void **state) {
        Fixture *f = *state;
        static uint8_t data[3 * PART];
        struct iovec iov[] = {{data, 100}, {data + 100, PART}, {data + 100 + PART, 2 * PART - 100}};

        assert_int_equal(open_composite(f, (BlockOpenOptions){.sparse = true}, NULL), 0);
        assert_int_equal(f->disk.dev->size_bytes, 3 * PART);
        memset(data, 'x', sizeof(data));
        assert_int_equal(fake_disk_readv(&f->disk, 0, iov, 3), 0);
        for (unsigned i = 0; i < 3 * PART; i++)
                assert_int_equal(data[i], i < PART              ? 'a'
                                          : i < PART + PART / 2 ? 'b'
                                          : i < 2 * PART        ? 0
                                                                : 'c');
        /* All of it where there is no file. */
        memset(data, 'x', 512);
        assert_int_equal(fake_disk_read(&f->disk, PART + PART / 2, data, 512), 0);
        assert_int_equal(data[511], 0);
}

static void test_writes_reach_their_part_or_fail(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = open(f->c, O_RDONLY | O_CLOEXEC);
        uint8_t data[PART];

        assert_int_equal(open_composite(f, (BlockOpenOptions){.sparse = true}, NULL), 0);
        memset(data, 'z', sizeof(data));
        assert_int_equal(fake_disk_write(&f->disk, 2 * PART + 512, data, 512), 0);
        assert_int_equal(pread(fd, data, 512, 512), 512);
        assert_int_equal(data[0], 'z');
        assert_int_equal(pread(fd, data, 512, 0), 512);
        assert_int_equal(data[0], 'c');
        assert_int_equal(fake_disk_write(&f->disk, 0, data, 512), -EROFS);
        assert_int_equal(fake_disk_write(&f->disk, PART - 512, data, 1024), -EROFS);
        /* Behind the end of the short file. */
        assert_int_equal(fake_disk_write(&f->disk, PART + PART / 2, data, 512), -EROFS);
        assert_int_equal(fake_disk_write(&f->disk, 3 * PART - 512, data, 1024), -EINVAL);
        assert_int_equal(fake_disk_flush(&f->disk), 0);
}

static void test_zeroes_and_discards_are_cut_at_the_borders(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = open(f->c, O_RDONLY | O_CLOEXEC);
        uint8_t data[PART];

        assert_int_equal(open_composite(f, (BlockOpenOptions){.sparse = true}, NULL), 0);
        assert_int_equal(fake_disk_discard(&f->disk, 0, 3 * PART), 0);
        assert_int_equal(fake_disk_read(&f->disk, 0, data, PART), 0);
        assert_int_equal(data[0], 'a');
        assert_int_equal(fake_disk_write_zeroes(&f->disk, 2 * PART, 4096, true), 0);
        assert_int_equal(pread(fd, data, 4096, 0), 4096);
        assert_int_equal(data[0], 0);
        assert_int_equal(fake_disk_write_zeroes(&f->disk, PART - 512, 1024, true), -EROFS);
        assert_int_equal(fake_disk_write_zeroes(&f->disk, 2 * PART - 512, 1024, true), -EROFS);
}

static void test_a_read_only_composite_opens_all_parts_read_only(void **state) {
        Fixture *f = *state;
        uint8_t data[512] = {0};

        assert_int_equal(open_composite(f, (BlockOpenOptions){.read_only = true}, NULL), 0);
        assert_int_equal(fake_disk_write(&f->disk, 2 * PART, data, 512), -EROFS);
        assert_int_equal(fake_disk_discard(&f->disk, 2 * PART, 512), -EROFS);
}

static void check_refused(Fixture *f, BlockOpenOptions options, int expected, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(open_composite(f, options, &error), expected);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("'%s' does not say '%s'", error.message, words);
        fake_disk_deinit(&f->disk);
        temp_file_freep(&f->composite);
}

static void test_bad_composites_are_refused_with_the_part(void **state) {
        Fixture *f = *state;
        _cleanup_(temp_file_freep) char *qcow = temp_file_new("QFI\xfb", 4, 65536);
        _cleanup_(temp_file_freep) char *nested = composite_file((const char *[]){f->a}, 1, 1);
        uint8_t bytes[] = "composite_disk\x1d\xff\xff";

        temp_file_freep(&f->composite);
        f->composite = composite_file((const char *[]){"/nonexistent/part"}, 1, 1);
        check_refused(f, (BlockOpenOptions){0}, -ENOENT, "/nonexistent/part");
        f->composite = composite_file((const char *[]){f->a, qcow}, 2, 2);
        check_refused(f, (BlockOpenOptions){0}, -EOPNOTSUPP, "qcow2");
        f->composite = composite_file((const char *[]){nested}, 1, 1);
        check_refused(f, (BlockOpenOptions){0}, -EOPNOTSUPP, "composite");
        f->composite = temp_file_new(bytes, 17, 17);
        check_refused(f, (BlockOpenOptions){0}, -EINVAL, "not a valid message");
        f->composite = temp_file_new(bytes, 15, COMPOSITE_FILE_MAX + 1);
        check_refused(f, (BlockOpenOptions){0}, -EINVAL, "at most");
        /* One file twice, once for writing: its own lock keeps it out. */
        f->composite = composite_file((const char *[]){f->c, f->c}, 2, 1);
        check_refused(f, (BlockOpenOptions){.lock = true}, -EBUSY, "is in use");
}

static void test_a_relative_path_starts_beside_the_composite_file(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = -EBADF;
        char name[32];

        temp_file_freep(&f->composite);
        f->composite = composite_file((const char *[]){strrchr(f->a, '/') + 1}, 1, 1);
        assert_int_equal(open_composite(f, (BlockOpenOptions){0}, NULL), 0);
        fake_disk_deinit(&f->disk);

        fd = open(f->composite, O_RDONLY);
        assert_true(fd >= 0);
        (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        temp_file_freep(&f->composite);
        f->composite = strdup(name);
        check_refused(f, (BlockOpenOptions){0}, -EPERM, "only descriptors");
}

#define COMPOSITE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                COMPOSITE_TEST(test_a_read_across_parts_is_put_together),
                COMPOSITE_TEST(test_writes_reach_their_part_or_fail),
                COMPOSITE_TEST(test_zeroes_and_discards_are_cut_at_the_borders),
                COMPOSITE_TEST(test_a_read_only_composite_opens_all_parts_read_only),
                COMPOSITE_TEST(test_bad_composites_are_refused_with_the_part),
                COMPOSITE_TEST(test_a_relative_path_starts_beside_the_composite_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
