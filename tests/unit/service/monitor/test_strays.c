/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "service/monitor/process.h"
#include "service/monitor/strays.h"

static int setup(void **state) {
        sd_event *event = NULL;
        sigset_t mask;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(strays_watch(event), 0);
        *state = event;
        return 0;
}

static int teardown(void **state) {
        sd_event_unref(*state);
        return 0;
}

static void on_ended(void *userdata) {
        *(bool *) userdata = true;
}

static Process *start_shell(sd_event *event, const char *command, bool *ended) {
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, strdup(command), NULL};
        const ProcessSpec spec = {.argv = argv, .stdout_fd = -EBADF};
        Process *process = NULL;

        assert_non_null(argv[2]);
        assert_int_equal(process_spawn(event, &spec, on_ended, ended, &process), 0);
        free(argv[2]);
        return process;
}

static bool has_children(void) {
        siginfo_t info;

        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void test_what_a_child_leaves_behind_is_reaped(void **state) {
        bool ended = false;
        Process *process = start_shell(*state, "sh -c 'exit 3' & sh -c 'exit 4' & exit 0", &ended);
        ProcessExit end;

        while (!ended)
                assert_true(sd_event_run(*state, UINT64_MAX) >= 0);
        assert_int_equal(process_reap(process, &end), 0);
        assert_null(process_free(process));
        while (has_children())
                assert_true(sd_event_run(*state, UINT64_MAX) >= 0);
}

static void test_what_has_an_owner_is_left_to_it_and_all_else_goes(void **state) {
        bool first_ended = false, second_ended = false;
        Process *first = start_shell(*state, "exit 5", &first_ended), *second;
        ProcessExit end;

        while (!first_ended)
                assert_true(sd_event_run(*state, UINT64_MAX) >= 0);
        second = start_shell(*state, "sh -c 'exit 3' & exit 6", &second_ended);
        while (!second_ended)
                assert_true(sd_event_run(*state, UINT64_MAX) >= 0);
        assert_true(process_is_known(process_pid(first)));
        assert_int_equal(process_reap(second, &end), 0);
        assert_int_equal(end.status, 6);
        assert_null(process_free(second));
        /* One that has ended and is not reaped stands before the stray. */
        while (sd_event_run(*state, 0) > 0)
                ;
        assert_int_equal(process_reap(first, &end), 0);
        assert_int_equal(end.status, 5);
        assert_null(process_free(first));
        while (has_children())
                assert_true(sd_event_run(*state, UINT64_MAX) >= 0);
}

static void test_one_that_ended_is_reaped_when_its_owner_leaves_it(void **state) {
        bool ended = false;
        Process *process = start_shell(*state, "exit 0", &ended);

        while (!ended)
                assert_true(sd_event_run(*state, UINT64_MAX) >= 0);
        assert_null(process_leave(process));
        assert_false(has_children());
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_a_child_leaves_behind_is_reaped, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_what_has_an_owner_is_left_to_it_and_all_else_goes, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_one_that_ended_is_reaped_when_its_owner_leaves_it, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
