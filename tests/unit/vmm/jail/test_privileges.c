/* SPDX-License-Identifier: Apache-2.0 */

/* Each test makes a process that drops its privileges, which cannot be had back, and looks at what it has left. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/jail/jail_internal.h"

#define FILES 64u
#define CORE_BYTES 4096u

/* Return: what @look returned, 0 to 97, in a process without privileges whose cores may have @core_bytes. */
static int without_privileges(rlim_t core_bytes, int (*look)(void)) {
        const struct rlimit files = {.rlim_cur = FILES, .rlim_max = 2 * FILES};
        const struct rlimit core = {.rlim_cur = core_bytes, .rlim_max = 2 * core_bytes};
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &core) < 0)
                        _exit(98);
                if (jail_drop_privileges() < 0)
                        _exit(99);
                _exit(look());
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 98) {
                print_message("the limits here are too low already, skipping\n");
                skip();
        }
        return WEXITSTATUS(status);
}

static int capabilities_left(void) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
        uint32_t left = 0;

        if (syscall(SYS_capget, &header, data) < 0)
                return 97;
        for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
                left |= data[i].effective | data[i].permitted | data[i].inheritable;
        return left != 0;
}

static void test_no_capability_is_left(void **state) {
        assert_int_equal(without_privileges(0, capabilities_left), 0);
}

static int new_privileges(void) {
        return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void test_no_program_gives_new_ones(void **state) {
        assert_int_equal(without_privileges(0, new_privileges), 1);
}

static int limits_that_can_grow(void) {
        const struct rlimit files = {.rlim_cur = FILES + 1, .rlim_max = FILES + 1};
        const struct rlimit core = {.rlim_cur = CORE_BYTES + 1, .rlim_max = CORE_BYTES + 1};

        return (setrlimit(RLIMIT_NOFILE, &files) == 0) + (setrlimit(RLIMIT_CORE, &core) == 0);
}

static void test_limits_stay_as_they_are(void **state) {
        assert_int_equal(without_privileges(CORE_BYTES, limits_that_can_grow), 0);
}

static int dumpable(void) {
        return prctl(PR_GET_DUMPABLE);
}

static void test_nobody_traces_a_process_of_which_no_core_is_wanted(void **state) {
        assert_int_equal(without_privileges(0, dumpable), 0);
}

static void test_a_core_is_written_where_the_limit_allows_one(void **state) {
        assert_int_equal(without_privileges(CORE_BYTES, dumpable), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_capability_is_left),
                cmocka_unit_test(test_no_program_gives_new_ones),
                cmocka_unit_test(test_limits_stay_as_they_are),
                cmocka_unit_test(test_nobody_traces_a_process_of_which_no_core_is_wanted),
                cmocka_unit_test(test_a_core_is_written_where_the_limit_allows_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
