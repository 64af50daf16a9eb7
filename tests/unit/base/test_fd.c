/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static void test_close_keeps_errno_and_answers_unset(void **state) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        errno = E2BIG;
        assert_int_equal(fd_close(fd), -EBADF);
        assert_int_equal(errno, E2BIG);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_int_equal(fd_close(-EBADF), -EBADF);
}

static void test_duplicates_stay_clear_of_the_standard_streams_and_have_cloexec(void **state) {
        _cleanup_(fd_closep) int dup = fd_dup_cloexec(STDERR_FILENO);

        assert_true(dup > STDERR_FILENO);
        assert_int_equal(fcntl(dup, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        assert_int_equal(fd_set_cloexec(dup, false), 0);
        assert_int_equal(fcntl(dup, F_GETFD) & FD_CLOEXEC, 0);
        assert_int_equal(fd_dup_cloexec(-1), -EBADF);
}

static void test_memfd_copies_are_sealed_and_start_at_zero(void **state) {
        _cleanup_(fd_closep) int fd = fd_memfd_from("test", "hello", 5);
        _cleanup_(freep) char *text = NULL;
        size_t len;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, 5, &text, &len), 0);
        assert_int_equal(len, 5);
        assert_string_equal(text, "hello");
        assert_int_equal(write(fd, "x", 1), -1);
        assert_int_equal(ftruncate(fd, 0), -1);
}

static void test_reading_stops_at_the_bound(void **state) {
        _cleanup_(fd_closep) int fd = fd_memfd_from("test", "hello", 5);
        char *text = NULL;

        assert_int_equal(fd_read_bounded(fd, 4, &text, NULL), -EFBIG);
        assert_null(text);
}

static void test_reading_grows_past_its_first_buffer(void **state) {
        static char data[10000];
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        size_t len;

        memset(data, 'x', sizeof(data));
        fd = fd_memfd_from("test", data, sizeof(data));
        assert_int_equal(fd_read_bounded(fd, 1 << 20, &text, &len), 0);
        assert_int_equal(len, sizeof(data));
        assert_memory_equal(text, data, sizeof(data));
        assert_int_equal(text[len], '\0');
}

static void test_pread_reports_an_early_end(void **state) {
        _cleanup_(fd_closep) int fd = fd_memfd_from("test", "hello", 5);
        char buf[4];

        assert_int_equal(fd_pread_all(fd, buf, 4, 1), 0);
        assert_memory_equal(buf, "ello", 4);
        assert_int_equal(fd_pread_all(fd, buf, 4, 2), -EIO);
}

static void test_describe_names_the_file_and_falls_back_to_the_number(void **state) {
        _cleanup_(fd_closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        char text[64];

        assert_int_equal(fd_describe(fd, text, sizeof(text)), 0);
        assert_string_equal(text, "/dev/null");
        assert_int_equal(fd_describe(12345, text, sizeof(text)), -ENOENT);
        assert_string_equal(text, "fd 12345");
}

static void test_only_a_regular_file_open_for_writing_can_be_written(void **state) {
        char path[] = "/tmp/test-fd-XXXXXX";
        _cleanup_(fd_closep) int file = mkostemp(path, O_CLOEXEC);
        _cleanup_(fd_closep) int reader = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(fd_closep) int name = open(path, O_PATH | O_CLOEXEC);
        _cleanup_(fd_closep) int device = open("/dev/null", O_RDWR | O_CLOEXEC);

        assert_int_equal(unlink(path), 0);
        assert_true(fd_is_writable_file(file));
        assert_false(fd_is_writable_file(reader));
        assert_false(fd_is_writable_file(name));
        assert_false(fd_is_writable_file(device));
        assert_false(fd_is_writable_file(-EBADF));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_close_keeps_errno_and_answers_unset),
                cmocka_unit_test(
                        test_duplicates_stay_clear_of_the_standard_streams_and_have_cloexec),
                cmocka_unit_test(test_memfd_copies_are_sealed_and_start_at_zero),
                cmocka_unit_test(test_reading_stops_at_the_bound),
                cmocka_unit_test(test_reading_grows_past_its_first_buffer),
                cmocka_unit_test(test_pread_reports_an_early_end),
                cmocka_unit_test(test_only_a_regular_file_open_for_writing_can_be_written),
                cmocka_unit_test(test_describe_names_the_file_and_falls_back_to_the_number),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
