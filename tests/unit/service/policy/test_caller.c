/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/policy/caller.h"

static void test_root_and_the_daemon_s_user_may_do_all(void **state) {
        assert_true(caller_is_privileged(&(Caller){.uid = 0}, 1000));
        assert_true(caller_is_privileged(&(Caller){.uid = 1000}, 1000));
        assert_false(caller_is_privileged(&(Caller){.uid = 1001}, 1000));
        assert_false(caller_is_privileged(&(Caller){.uid = 1000}, 0));
}

static const char status[] = "Name:\tGroups: 77\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\n"
                             "Gid:\t50\t51\t52\t53\nFDSize:\t64\nGroups:\t4 24 1007 \nNStgid:\t9\n";

static void test_a_group_is_found_by_its_whole_number(void **state) {
        assert_true(caller_status_has_group(status, 1001, 24));
        assert_true(caller_status_has_group(status, 1001, 1007));
        assert_false(caller_status_has_group(status, 1001, 100));
        assert_false(caller_status_has_group(status, 1001, 2));
        assert_false(caller_status_has_group(status, 1001, 77));
        assert_false(caller_status_has_group(status, 1001, 9));
}

static void test_only_the_effective_ids_count(void **state) {
        assert_true(caller_status_has_group(status, 1001, 51));
        assert_false(caller_status_has_group(status, 1001, 50));
        assert_false(caller_status_has_group(status, 1000, 51));
}

static void test_a_status_that_is_cut_off_names_no_group(void **state) {
        assert_false(caller_status_has_group("", 0, 0));
        assert_false(caller_status_has_group("Uid:\t", 0, 0));
        assert_false(caller_status_has_group("Uid:\t0\t0\t0\t0\nGid:", 0, 0));
        assert_false(caller_status_has_group("Uid:\t0\t0\t0\t0\nGroups:\t\n", 0, 0));
}

static void test_a_process_is_in_its_own_groups_only(void **state) {
        const Caller self = {.uid = geteuid(), .pid = getpid()};

        assert_true(caller_is_in_group(&self, getegid()));
        assert_false(caller_is_in_group(&self, 3999999999u));
        assert_false(caller_is_in_group(&(Caller){.uid = self.uid}, getegid()));
}

static void test_the_name_of_a_process_is_printable(void **state) {
        char comm[32];

        assert_int_equal(prctl(PR_SET_NAME, "a\nb\x1b c"), 0);
        caller_read_comm(&(Caller){.pid = getpid()}, comm, sizeof(comm));
        assert_string_equal(comm, "a_b_ c");
        caller_read_comm(&(Caller){.pid = 0}, comm, sizeof(comm));
        assert_string_equal(comm, "?");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_root_and_the_daemon_s_user_may_do_all),
                cmocka_unit_test(test_a_group_is_found_by_its_whole_number),
                cmocka_unit_test(test_only_the_effective_ids_count),
                cmocka_unit_test(test_a_status_that_is_cut_off_names_no_group),
                cmocka_unit_test(test_a_process_is_in_its_own_groups_only),
                cmocka_unit_test(test_the_name_of_a_process_is_printable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
