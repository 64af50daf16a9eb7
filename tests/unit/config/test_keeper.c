/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "config/keeper.h"

static void test_descriptors_pass_as_an_option(void **state) {
        const KeeperFds fds = {.record = 3,
                               .bell_in = 4,
                               .bell_out = 5,
                               .status_in = 6,
                               .failure = 7,
                               .console = -EBADF,
                               .err = 8,
                               .log = 9,
                               .keys = -EBADF};
        KeeperFds read_back;
        char text[64];

        assert_int_equal(keeper_fds_format(&fds, text, sizeof(text)), 0);
        assert_string_equal(text, "3,4,5,6,7,-1,8,9,-1");
        assert_int_equal(keeper_fds_parse(text, &read_back), 0);
        assert_memory_equal(&read_back, &fds, sizeof(fds));
        assert_int_equal(keeper_fds_parse("3,4,5,6,7,-1,8", &read_back), -EBADMSG);
        assert_int_equal(keeper_fds_parse("3,4,5,6,7,-1,8,9,10,11", &read_back), -EBADMSG);
        assert_int_equal(keeper_fds_parse("-1,4,5,6,7,-1,8,9,10", &read_back), -EBADMSG);
}

static void test_a_record_names_what_the_keeper_holds(void **state) {
        const KeeperFds fds = {
                .bell_in = 4, .failure = 7, .console = 10, .err = 8, .log = 9, .keys = 11};
        const KeeperProcess self = {.pid = 42, .start_time = 99};
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        _cleanup_(fd_closep) int file = memfd_create("record", MFD_CLOEXEC);

        assert_true(file >= 0);
        assert_int_equal(keeper_write_self(file, &self, &fds), 0);
        assert_int_equal(keeper_record_read(file, &record), 0);
        assert_int_equal(record.keeper.pid, 42);
        assert_int_equal(record.fds.console, 10);
        assert_int_equal(record.fds.log, 9);
        assert_int_equal(record.fds.keys, 11);
        assert_int_equal(record.fds.record, -EBADF);
}

/* A daemon that was upgraded finds keepers of the one before. */
static void test_an_older_keeper_has_neither_log_nor_keys(void **state) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        char text[] = "keeper 42 99 4 7 10 8\nspawned 43 100\nexecuted\nended exited 0 5 0\n";

        assert_int_equal(keeper_record_parse(text, &record), 0);
        assert_int_equal(record.fds.console, 10);
        assert_int_equal(record.fds.err, 8);
        assert_int_equal(record.fds.log, -EBADF);
        assert_int_equal(record.fds.keys, -EBADF);
        assert_true(record.executed);
        assert_int_equal(record.end, KEEPER_END_EXITED);
        assert_int_equal(record.peak_bytes, 0);
}

static void test_an_end_is_read_as_it_was_written(void **state) {
        const KeeperRecord end = {.end = KEEPER_END_KILLED,
                                  .status = 9,
                                  .guest_ticks = 5,
                                  .user_ticks = 6,
                                  .oom_kills = 1,
                                  .peak_bytes = 33554432};
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        _cleanup_(fd_closep) int file = memfd_create("record", MFD_CLOEXEC);

        assert_true(file >= 0);
        assert_int_equal(keeper_write_ended(file, &end), 0);
        assert_int_equal(keeper_record_read(file, &record), 0);
        assert_int_equal(record.end, end.end);
        assert_int_equal(record.status, end.status);
        assert_int_equal(record.guest_ticks, end.guest_ticks);
        assert_int_equal(record.user_ticks, end.user_ticks);
        assert_int_equal(record.oom_kills, end.oom_kills);
        assert_int_equal(record.peak_bytes, end.peak_bytes);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_descriptors_pass_as_an_option),
                cmocka_unit_test(test_a_record_names_what_the_keeper_holds),
                cmocka_unit_test(test_an_older_keeper_has_neither_log_nor_keys),
                cmocka_unit_test(test_an_end_is_read_as_it_was_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
