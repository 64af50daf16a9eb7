/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "vmm/helper/helper.h"

/* What `sh -c @script` wrote to its descriptor 3, and its exit status. */
static int run(const char *script, const HelperUsers *users, char *ret_text, size_t size) {
        char text[128];
        char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, text, NULL};
        _cleanup_(fd_closep) int fd = memfd_create("output", MFD_CLOEXEC);
        const HelperConfig config = {.argv = argv, .fds = &fd, .n_fds = 1, .users = users};
        int pid_fd, status = -1;
        ssize_t n;

        assert_true(fd >= 0);
        (void) snprintf(text, sizeof(text), "%s", script);
        assert_int_equal(helper_start(&config, &pid_fd, NULL), 0);
        assert_int_equal(helper_wait_consume(pid_fd, &status), 0);
        n = pread(fd, ret_text, size - 1, 0);
        assert_true(n >= 0);
        ret_text[n] = 0;
        return status;
}

static void test_a_helper_runs_and_its_status_is_told(void **state) {
        char text[64];

        assert_int_equal(run("echo here >&3; exit 7", NULL, text, sizeof(text)), 7);
        assert_string_equal(text, "here\n");
        assert_int_equal(run("kill -9 $$", NULL, text, sizeof(text)), 128 + 9);
}

static void test_a_helper_has_no_descriptor_but_those_it_is_given(void **state) {
        /* Left to a careless exec, on purpose. */
        int low = dup2(STDERR_FILENO, 4), high = dup2(STDERR_FILENO, 100);
        char text[64];

        assert_true(low == 4 && high == 100);
        assert_int_equal(run("for n in 4 100; do test ! -e /proc/$$/fd/$n || echo $n >&3; done",
                             NULL, text, sizeof(text)),
                         0);
        (void) close(low);
        (void) close(high);
        assert_string_equal(text, "");
}

static void test_a_helper_that_is_not_there_is_an_error_that_names_it(void **state) {
        char *const argv[] = {(char[]){"no-such-program"}, NULL};
        _cleanup_(text_error_deinit) TextError error = {0};
        int pid_fd;

        assert_int_equal(helper_start(&(HelperConfig){.argv = argv}, &pid_fd, &error), -ENOENT);
        assert_non_null(strstr(text_error_message(&error, -ENOENT), "no-such-program"));
}

static void test_a_helper_is_ended(void **state) {
        char *const argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
        int pid_fd;

        assert_int_equal(helper_start(&(HelperConfig){.argv = argv}, &pid_fd, NULL), 0);
        assert_int_equal(helper_end(pid_fd), -EBADF);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
        assert_int_equal(helper_end(-EBADF), -EBADF);
}

/* Whether user namespaces are to be had here: looked for in a child, which goes. */
static bool has_namespaces(void) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
                _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
        return waitpid(pid, &status, 0) == pid && status == 0;
}

static void test_a_helper_is_another_user_in_its_namespace(void **state) {
        char uid_map[40], gid_map[40], text[64];
        const HelperUsers users = {
                .uid_map = uid_map, .gid_map = gid_map, .uid = 1234, .gid = 4321};

        if (!has_namespaces())
                skip();
        (void) snprintf(uid_map, sizeof(uid_map), "1234 %u 1\n", geteuid());
        (void) snprintf(gid_map, sizeof(gid_map), "4321 %u 1\n", getegid());
        assert_int_equal(run("echo $(id -u) $(id -g) >&3", &users, text, sizeof(text)), 0);
        assert_string_equal(text, "1234 4321\n");
}

static void test_maps_that_cannot_be_are_an_error(void **state) {
        const HelperUsers users = {.uid_map = "0 0 0\n", .gid_map = "0 0 1\n"};
        char *const argv[] = {(char[]){"true"}, NULL};
        _cleanup_(text_error_deinit) TextError error = {0};
        int pid_fd;

        if (!has_namespaces())
                skip();
        assert_true(helper_start(&(HelperConfig){.argv = argv, .users = &users}, &pid_fd, &error) <
                    0);
        assert_non_null(strstr(text_error_message(&error, 0), "map users"));
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_the_first_program_that_is_there_is_found(void **state) {
        static const char *const paths[] = {"/none", "/bin/sh", "sh"};

        assert_string_equal(helper_find(paths, 3), "/bin/sh");
        assert_string_equal(helper_find(paths, 1), "/none");
        assert_string_equal(helper_find((const char *const[]){"/none", "sh"}, 2), "sh");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_helper_runs_and_its_status_is_told),
                cmocka_unit_test(test_a_helper_has_no_descriptor_but_those_it_is_given),
                cmocka_unit_test(test_a_helper_that_is_not_there_is_an_error_that_names_it),
                cmocka_unit_test(test_a_helper_is_ended),
                cmocka_unit_test(test_a_helper_is_another_user_in_its_namespace),
                cmocka_unit_test(test_maps_that_cannot_be_are_an_error),
                cmocka_unit_test(test_the_first_program_that_is_there_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
