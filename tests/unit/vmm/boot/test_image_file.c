/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/fake/vmm_kernel_image.h"

static int open_with_error(const char *path, TextError *error) {
        _cleanup_(image_file_deinit) ImageFile file = {0};

        return image_file_open(path, &file, error);
}

static void test_what_is_not_a_file_with_content_is_refused(void **state) {
        _cleanup_(text_error_deinit) TextError a = {0}, b = {0};
        _cleanup_(image_file_deinit) ImageFile file = {0};
        int pair[2];

        assert_int_equal(open_with_error("/nonexistent/vmlinuz", NULL), -ENOENT);
        assert_int_equal(open_with_error("/", NULL), -EISDIR);
        assert_int_equal(open_with_error("/dev/null", &a), -EINVAL);
        assert_non_null(strstr(a.message, "not a regular file"));
        assert_int_equal(image_file_from_fd_consume(fd_memfd_from("empty", "", 0), &file, &b),
                         -ENODATA);
        assert_non_null(strstr(b.message, "empty"));
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(image_file_from_fd_consume(pair[0], &file, NULL), -EINVAL);
        (void) close(pair[1]);
}

static void test_ranges_outside_the_file_are_truncation(void **state) {
        _cleanup_(image_file_deinit) ImageFile file = kernel_image_file("0123456789", 10);
        _cleanup_(text_error_deinit) TextError error = {0};
        char data[16];

        assert_int_equal(image_file_read(&file, 3, data, 7, NULL), 0);
        assert_memory_equal(data, "3456789", 7);
        assert_int_equal(image_file_read(&file, 4, data, 7, &error), -ENODATA);
        assert_non_null(strstr(error.message, "it has 10 bytes, but 7 at offset 4"));
        assert_int_equal(image_file_read(&file, UINT64_MAX, data, 1, NULL), -ENODATA);
}

static void test_loading_checks_both_ends(void **state) {
        _cleanup_(image_file_deinit) ImageFile file = kernel_image_file("0123456789", 10);
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(guest_mem_new(2 << 20, &mem), 0);
        assert_int_equal(image_file_load(&file, 2, 8, mem, (2 << 20) - 8, &error), 0);
        assert_memory_equal(guest_mem_ptr(mem, (2 << 20) - 8, 8), "23456789", 8);
        assert_int_equal(image_file_load(&file, 2, 9, mem, 0x1000, NULL), -ENODATA);
        assert_int_equal(image_file_load(&file, 2, 8, mem, (2 << 20) - 7, &error), -EFAULT);
        assert_non_null(strstr(error.message, "outside the 2 MiB of RAM"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_not_a_file_with_content_is_refused),
                cmocka_unit_test(test_ranges_outside_the_file_are_truncation),
                cmocka_unit_test(test_loading_checks_both_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
