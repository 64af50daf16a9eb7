/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "config/composite.h"
#include "crosvm_launcher/image.h"

static void assert_refused(int fd, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        uint64_t size = 7;

        assert_int_equal(image_check_raw(fd, &size, &error), -EINVAL);
        assert_non_null(strstr(error.message, words));
        assert_int_equal(size, 7);
}

static void assert_format_refused(const char *start, size_t len, const char *words) {
        _cleanup_(fd_closep) int fd = fd_memfd_from("image", start, len);

        assert_true(fd >= 0);
        assert_refused(fd, words);
}

static void test_formats_with_a_header_are_refused_by_name(void **state) {
        assert_format_refused(COMPOSITE_MAGIC, COMPOSITE_MAGIC_LEN, "a composite disk");
        assert_format_refused("QFI\xfb\0\0\0\3", 8, "a qcow2 image");
        assert_format_refused("\x3a\xff\x26\xed\1\0", 6, "an Android sparse image");
}

static void test_raw_images_of_any_length_are_fine(void **state) {
        _cleanup_(fd_closep) int fd = fd_memfd_from("image", "QFI", 3);
        uint64_t size;

        assert_true(fd >= 0);
        assert_int_equal(image_check_raw(fd, &size, NULL), 0);
        assert_int_equal(size, 3);
}

static void test_what_is_no_disk_is_refused(void **state) {
        _cleanup_(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        _cleanup_(fd_closep) int directory = open("/", O_RDONLY | O_CLOEXEC);
        uint64_t size;

        assert_true(null >= 0 && directory >= 0);
        assert_refused(null, "neither a regular file nor a block device");
        assert_refused(directory, "neither a regular file nor a block device");
        assert_int_equal(image_check_raw(9999, &size, NULL), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_formats_with_a_header_are_refused_by_name),
                cmocka_unit_test(test_raw_images_of_any_length_are_fine),
                cmocka_unit_test(test_what_is_no_disk_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
