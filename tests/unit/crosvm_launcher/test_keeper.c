/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "crosvm_launcher/keeper.h"

static int join_in_child(Keeper *keeper, pid_t *ret_child) {
        int status;

        *ret_child = fork();
        assert_true(*ret_child >= 0);
        if (*ret_child == 0)
                _exit(-keeper_join(keeper));
        assert_int_equal(waitpid(*ret_child, &status, 0), *ret_child);
        assert_true(WIFEXITED(status));
        return -WEXITSTATUS(status);
}

static void test_the_launcher_stands_in_the_record_before_it_launches(void **state) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        _cleanup_(fd_closep) int file = memfd_create("record", MFD_CLOEXEC);
        Keeper keeper = {.fds.record = file, .record.keeper.pid = getpid()};
        pid_t child;

        assert_int_equal(join_in_child(&keeper, &child), 0);
        assert_true(file >= 0);
        /* A record begins with its keeper, who is this process and writes nothing else. */
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        assert_int_equal(keeper_record_read(file, &record), 0);
        assert_int_equal(record.vmm.pid, child);
        assert_true(record.vmm.start_time > 0);
        assert_false(record.executed);
}

static void test_a_launcher_whose_keeper_is_gone_does_not_launch(void **state) {
        _cleanup_(fd_closep) int file = memfd_create("record", MFD_CLOEXEC);
        Keeper keeper = {.fds.record = file, .record.keeper.pid = 1};
        pid_t child;

        assert_int_equal(join_in_child(&keeper, &child), -ESRCH);
        assert_int_equal(lseek(file, 0, SEEK_END), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_launcher_stands_in_the_record_before_it_launches),
                cmocka_unit_test(test_a_launcher_whose_keeper_is_gone_does_not_launch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
