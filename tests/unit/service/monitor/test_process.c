/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/proc_stat.h"
#include "service/monitor/process.h"

static void on_ended(void *userdata) {
        *(bool *) userdata = true;
}

/* Runs a shell command to its end. */
static Process *run_shell(sd_event *event, const char *command, const int *fds, size_t n_fds) {
        char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, strdup(command), NULL};
        const ProcessSpec spec = {.argv = argv, .fds = fds, .n_fds = n_fds, .stdout_fd = -EBADF};
        Process *process = NULL;
        bool ended = false;

        assert_non_null(argv[2]);
        assert_int_equal(process_spawn(event, &spec, on_ended, &ended, &process), 0);
        free(argv[2]);
        while (!ended)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        return process;
}

static void test_the_way_a_child_ended_is_told(void **state) {
        static const struct {
                const char *command;
                bool exited;
                int status;
        } cases[] = {{"exit 0", true, 0}, {"exit 36", true, 36}, {"kill -9 $$", false, SIGKILL}};
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;

        assert_true(sd_event_new(&event) >= 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(process_freep) Process *process =
                        run_shell(event, cases[i].command, NULL, 0);
                ProcessExit end;

                assert_int_equal(process_reap(process, &end), 0);
                assert_true(end.peak_bytes > 0);
                assert_int_equal(end.exited, cases[i].exited);
                assert_int_equal(end.status, cases[i].status);
                /* Its number may be somebody else's by now. */
                assert_int_equal(process_kill(process, SIGKILL), 0);
                assert_true(process_reap(process, &end) < 0);
        }
}

static void test_only_the_given_descriptors_are_inherited(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(fd_closep) int given = open("/dev/null", O_RDONLY | O_CLOEXEC);
        _cleanup_(fd_closep) int kept = open("/dev/null", O_RDONLY | O_CLOEXEC);
        _cleanup_(process_freep) Process *process = NULL;
        char command[128];
        ProcessExit end;

        assert_true(sd_event_new(&event) >= 0);
        (void) snprintf(command, sizeof(command),
                        "[ -e /proc/$$/fd/%d ] && [ ! -e /proc/$$/fd/%d ] && exit 7", given, kept);
        process = run_shell(event, command, &given, 1);
        assert_int_equal(process_reap(process, &end), 0);
        assert_int_equal(end.status, 7);
        assert_true(fcntl(given, F_GETFD) & FD_CLOEXEC);
}

static void test_a_program_that_is_not_there_is_an_error(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        char *argv[] = {(char[]){"/nowhere/x"}, NULL};
        Process *process = NULL;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(process_spawn(event, &(ProcessSpec){.argv = argv, .stdout_fd = -EBADF},
                                       NULL, NULL, &process),
                         -ENOENT);
        assert_null(process);
}

static void test_a_child_that_is_forgotten_is_killed(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        char *argv[] = {(char[]){"/bin/sleep"}, (char[]){"1000"}, NULL};
        Process *process = NULL;
        ProcessExit end;
        pid_t pid;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(process_spawn(event, &(ProcessSpec){.argv = argv, .stdout_fd = -EBADF},
                                       NULL, NULL, &process),
                         0);
        pid = process_pid(process);
        assert_int_equal(process_reap(process, &end), -EAGAIN);
        (void) process_free(process);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
}

static void test_a_process_is_met_again_by_number_and_start_time(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        char *argv[] = {(char[]){"/bin/sleep"}, (char[]){"1000"}, NULL};
        Process *spawned = NULL, *met = NULL;
        bool ended = false;
        uint64_t start;
        ProcessExit end;
        pid_t pid;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(process_spawn(event, &(ProcessSpec){.argv = argv, .stdout_fd = -EBADF},
                                       NULL, NULL, &spawned),
                         0);
        pid = process_pid(spawned);
        assert_int_equal(proc_stat_read(pid, PROC_STAT_START_TIME, &start), 0);
        assert_int_equal(process_attach(pid, start + 1, -EBADF, &met), -ESRCH);
        assert_int_equal(process_attach(pid, start, -EBADF, &met), 0);
        assert_int_equal(process_watch(met, event, on_ended, &ended), 0);
        assert_int_equal(process_kill(met, SIGKILL), 0);
        while (!ended)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_int_equal(process_reap(spawned, &end), 0);
        assert_int_equal(end.status, SIGKILL);
        (void) process_free(spawned);
        /* Nobody's child: nothing to reap, and nothing to kill when it is forgotten. */
        assert_int_equal(process_reap(met, &end), -ECHILD);
        (void) process_free(met);
        met = NULL;
        assert_int_equal(process_attach(pid, start, -EBADF, &met), -ESRCH);
}

static void test_a_child_that_is_left_runs_on(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        char *argv[] = {(char[]){"/bin/sleep"}, (char[]){"1000"}, NULL};
        Process *process = NULL;
        pid_t pid;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(process_spawn(event, &(ProcessSpec){.argv = argv, .stdout_fd = -EBADF},
                                       NULL, NULL, &process),
                         0);
        pid = process_pid(process);
        (void) process_leave(process);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_way_a_child_ended_is_told),
                cmocka_unit_test(test_only_the_given_descriptors_are_inherited),
                cmocka_unit_test(test_a_program_that_is_not_there_is_an_error),
                cmocka_unit_test(test_a_child_that_is_forgotten_is_killed),
                cmocka_unit_test(test_a_process_is_met_again_by_number_and_start_time),
                cmocka_unit_test(test_a_child_that_is_left_runs_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
