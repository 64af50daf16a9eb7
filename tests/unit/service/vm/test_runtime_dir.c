/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "service/vm/runtime_dir.h"

static int setup(void **state) {
        char *dir = strdup("/tmp/vivarium-run.XXXXXX");

        assert_non_null(dir);
        assert_non_null(mkdtemp(dir));
        *state = dir;
        return 0;
}

static int teardown(void **state) {
        char *dir = *state, vms[64];

        (void) snprintf(vms, sizeof(vms), "%s/vm", dir);
        (void) rmdir(vms);
        (void) snprintf(vms, sizeof(vms), "%s/state", dir);
        (void) rmdir(vms);
        (void) snprintf(vms, sizeof(vms), "%s/unwritten", dir);
        (void) rmdir(vms);
        assert_int_equal(rmdir(dir), 0);
        free(dir);
        return 0;
}

static void prepare(const char *dir) {
        RuntimeDirs dirs = {-EBADF, -EBADF};

        assert_int_equal(runtime_dir_prepare(dir, &dirs), 0);
        assert_true(dirs.state >= 0 && dirs.unwritten >= 0);
        (void) fd_close(dirs.state);
        (void) fd_close(dirs.unwritten);
}

static void touch(const char *dir, const char *name) {
        char path[96];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void) fd_close(fd);
}

static void test_a_directory_is_private_and_goes_with_its_files(void **state) {
        _cleanup_(freep) char *path = NULL;
        struct stat st;

        prepare(*state);
        assert_int_equal(runtime_dir_create(*state, 2048, &path), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        touch(path, "crosvm.sock");
        assert_int_equal(runtime_dir_remove(path), 0);
        assert_int_equal(stat(path, &st), -1);
        assert_int_equal(runtime_dir_remove(path), 0);
}

static void test_what_an_earlier_daemon_left_is_replaced(void **state) {
        _cleanup_(freep) char *first = NULL, *second = NULL;

        prepare(*state);
        prepare(*state);
        assert_int_equal(runtime_dir_create(*state, 2048, &first), 0);
        touch(first, "stale");
        assert_int_equal(runtime_dir_create(*state, 2048, &second), 0);
        assert_string_equal(first, second);
        /* Empty, or this would fail. */
        assert_int_equal(rmdir(second), 0);
}

static void test_a_link_is_not_followed(void **state) {
        char victim[64], link[64];

        (void) snprintf(victim, sizeof(victim), "%s/victim", (char *) *state);
        (void) snprintf(link, sizeof(link), "%s/link", (char *) *state);
        assert_int_equal(mkdir(victim, 0700), 0);
        touch(victim, "precious");
        assert_int_equal(symlink(victim, link), 0);
        assert_true(runtime_dir_remove(link) < 0);
        (void) unlink(link);
        assert_int_equal(rmdir(victim), -1);
        assert_int_equal(errno, ENOTEMPTY);
        assert_int_equal(runtime_dir_remove(victim), 0);
}

static bool is_2048(const void *userdata, uint32_t cid) {
        return cid == 2048;
}

static void test_a_sweep_takes_all_but_the_known(void **state) {
        _cleanup_(freep) char *known = NULL, *stale = NULL;
        struct stat st;

        prepare(*state);
        assert_int_equal(runtime_dir_create(*state, 2048, &known), 0);
        assert_int_equal(runtime_dir_create(*state, 2049, &stale), 0);
        touch(stale, "vsock_1");
        assert_int_equal(runtime_dir_sweep(*state, is_2048, NULL, NULL), 1);
        assert_int_equal(stat(known, &st), 0);
        assert_int_equal(stat(stale, &st), -1);
        assert_int_equal(runtime_dir_remove(known), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_directory_is_private_and_goes_with_its_files,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_an_earlier_daemon_left_is_replaced, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_sweep_takes_all_but_the_known, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_link_is_not_followed, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
