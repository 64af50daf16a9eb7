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
#include "crosvm_launcher/args.h"

static void test_descriptors_are_annotated_with_their_files(void **state) {
        _cleanup_(fd_map_deinit) FdMap map = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        _cleanup_(freep) char *text = NULL, *expected = NULL;
        char path[] = "/tmp/vivarium-args-XXXXXX";
        _cleanup_(fd_closep) int fd = mkstemp(path);
        int target;

        assert_true(fd >= 0);
        assert_int_equal(fd_map_add(&map, fd, &target), 0);
        assert_int_equal(strvec_add(&argv, "vmm"), 0);
        assert_int_equal(strvec_add(&argv, "path=/proc/self/fd/3,ro=true"), 0);
        assert_int_equal(strvec_add(&argv, "/proc/self/fd/4 /proc/self/fd/"), 0);
        assert_int_equal(strvec_add(&argv, "/proc/self/fd/99999999999999999999999"), 0);
        assert_int_equal(strvec_add(&argv, ""), 0);
        assert_int_equal(launch_args_describe(&argv, &map, &text), 0);
        assert_true(asprintf(&expected,
                             "vmm path=/proc/self/fd/3 (%s),ro=true "
                             "'/proc/self/fd/4 /proc/self/fd/' "
                             "/proc/self/fd/99999999999999999999999 ''",
                             path) > 0);
        assert_string_equal(text, expected);
        assert_int_equal(unlink(path), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_descriptors_are_annotated_with_their_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
