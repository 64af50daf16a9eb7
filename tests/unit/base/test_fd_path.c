/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/fd_path.h"

static int open_inherited(int fd, int flags) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return fd_path_open(path, flags, 0);
}

static void test_only_the_exact_form_names_a_descriptor(void **state) {
        int fd = -1;

        assert_true(fd_path_parse("/proc/self/fd/17", &fd));
        assert_int_equal(fd, 17);
        assert_false(fd_path_parse("/proc/self/fd/", &fd));
        assert_false(fd_path_parse("/proc/self/fd/x", &fd));
        assert_false(fd_path_parse("/proc/self/fd/1/x", &fd));
        assert_false(fd_path_parse("/proc/self/fd/-1", &fd));
        assert_false(fd_path_parse("/proc/self/fd/0x1", &fd));
        assert_false(fd_path_parse("/proc/self/fd/99999999999", &fd));
        assert_false(fd_path_parse("/proc/self/fdinfo/1", &fd));
        assert_int_equal(fd, 17);
}

static void test_an_inherited_descriptor_is_duplicated_with_its_pipe(void **state) {
        int ends[2];
        char c = 0;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(fd_set_cloexec(ends[1], false), 0);
        int fd = open_inherited(ends[1], O_WRONLY | O_APPEND | O_CREAT);
        assert_true(fd >= 0 && fd != ends[1]);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(read(ends[0], &c, 1), 1);
        assert_int_equal(c, 'x');
        fd_close(fd);
        fd_close(ends[0]);
        fd_close(ends[1]);
}

static void test_a_descriptor_of_our_own_or_a_closed_one_is_refused(void **state) {
        _cleanup_(fd_closep) int own = open("/dev/null", O_RDWR | O_CLOEXEC);

        assert_int_equal(open_inherited(own, O_RDONLY), -EBADF);
        assert_int_equal(open_inherited(1000000, O_RDONLY), -EBADF);
}

static void test_missing_access_is_seen_at_once(void **state) {
        _cleanup_(fd_closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        assert_int_equal(fd_set_cloexec(fd, false), 0);
        assert_int_equal(open_inherited(fd, O_RDWR), -EACCES);
        assert_int_equal(open_inherited(fd, O_WRONLY), -EACCES);
        int dup = open_inherited(fd, O_RDONLY);
        assert_true(dup >= 0);
        fd_close(dup);
}

static void test_other_paths_are_opened_cloexec(void **state) {
        _cleanup_(fd_closep) int fd = fd_path_open("/dev/null", O_RDONLY, 0);

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fd_path_open("/nonexistent/file", O_RDONLY, 0), -ENOENT);
}

static void test_a_file_is_held_by_its_directory_and_name(void **state) {
        _cleanup_(freep) char *name = NULL, *here = NULL;
        _cleanup_(fd_closep) int dir = -EBADF, cwd = -EBADF;
        struct stat held, device;

        assert_int_equal(fd_path_open_parent("/dev/null", &dir, &name), 0);
        assert_string_equal(name, "null");
        assert_int_equal(fstatat(dir, name, &held, 0), 0);
        assert_int_equal(stat("/dev/null", &device), 0);
        assert_true(held.st_ino == device.st_ino && held.st_dev == device.st_dev);
        assert_int_equal(fd_path_open_parent("no-slash", &cwd, &here), 0);
        assert_string_equal(here, "no-slash");
        assert_int_equal(fstat(cwd, &held), 0);
        assert_int_equal(stat(".", &device), 0);
        assert_true(held.st_ino == device.st_ino && held.st_dev == device.st_dev);
        assert_int_equal(fd_path_open_parent("/nonexistent/file", &cwd, &here), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_the_exact_form_names_a_descriptor),
                cmocka_unit_test(test_an_inherited_descriptor_is_duplicated_with_its_pipe),
                cmocka_unit_test(test_a_descriptor_of_our_own_or_a_closed_one_is_refused),
                cmocka_unit_test(test_missing_access_is_seen_at_once),
                cmocka_unit_test(test_other_paths_are_opened_cloexec),
                cmocka_unit_test(test_a_file_is_held_by_its_directory_and_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
