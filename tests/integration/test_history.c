/* SPDX-License-Identifier: Apache-2.0 */
/* The history on a disk that stands still: the thread that reads it is stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "dbus/names.h"
#include "service/bus/history_bus.h"
#include "tests/integration/vm_client.h"

typedef struct Answers {
        unsigned n, n_records;
} Answers;

/* The daemon's only thread beside the loop. */
static pid_t find_worker(const BusHost *host) {
        const struct dirent *entry;
        pid_t worker = 0;
        char path[64];
        DIR *dir;

        (void) snprintf(path, sizeof(path), "/proc/%d/task", host->daemon_pid);
        dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                pid_t tid = (pid_t) strtoul(entry->d_name, NULL, 10);

                if (tid > 0 && tid != host->daemon_pid) {
                        assert_int_equal(worker, 0);
                        worker = tid;
                }
        }
        (void) closedir(dir);
        assert_true(worker > 0);
        return worker;
}

static pid_t stop_worker(const BusHost *host) {
        pid_t worker = find_worker(host);
        int status;

        if (ptrace(PTRACE_SEIZE, worker, NULL, NULL) < 0) {
                print_message("ptrace: %s, skipping\n", strerror(errno));
                skip();
        }
        assert_int_equal(ptrace(PTRACE_INTERRUPT, worker, NULL, NULL), 0);
        assert_int_equal(waitpid(worker, &status, __WALL), worker);
        assert_true(WIFSTOPPED(status));
        return worker;
}

static void let_worker_go(pid_t worker) {
        assert_int_equal(ptrace(PTRACE_DETACH, worker, NULL, NULL), 0);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Answers *answers = userdata;

        assert_false(sd_bus_message_is_method_error(reply, NULL));
        answers->n++;
        assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") >= 0);
        while (sd_bus_message_skip(reply, "a{sv}") > 0)
                answers->n_records++;
        return 0;
}

static void ask(sd_bus *bus, Answers *answers) {
        assert_true(sd_bus_call_method_async(bus, NULL, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                             VIVARIUM_MANAGER_INTERFACE, "GetHistory", on_answer,
                                             answers, "su", "", (uint32_t) 0) >= 0);
}

static void assert_refused(BusHost *host) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetHistory", &error, NULL, "su",
                                       "", (uint32_t) 0) < 0);
        assert_string_equal(error.name, SD_BUS_ERROR_LIMITS_EXCEEDED);
}

/* A death of which the worker has written all that it ever will. */
static void have_a_death(BusHost *host) {
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "exit:33"});
        Record record;

        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        (void) daemon_holdings(host);
}

static void take_answers(sd_bus *bus) {
        while (sd_bus_process(bus, NULL) > 0)
                ;
}

static void wait_for_answers(sd_bus *bus, const Answers *answers, unsigned n) {
        const uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        for (take_answers(bus); answers->n < n; take_answers(bus)) {
                assert_true(clock_monotonic_usec() < deadline);
                assert_true(sd_bus_wait(bus, 100 * 1000) >= 0);
        }
}

static void test_the_loop_goes_on_while_the_history_is_read(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        Answers answers = {0}, hers = {0};
        pid_t worker;

        have_a_death(host);
        worker = stop_worker(host);
        for (unsigned i = 0; i < HISTORY_CALLS_PER_UID_MAX; i++)
                ask(host->bus, &answers);
        assert_refused(host);
        ask(alice, &hers);
        assert_int_equal(manager_vm_count(host->bus), 1);
        take_answers(host->bus);
        assert_int_equal(answers.n, 0);
        let_worker_go(worker);
        wait_for_answers(host->bus, &answers, HISTORY_CALLS_PER_UID_MAX);
        assert_int_equal(answers.n_records, HISTORY_CALLS_PER_UID_MAX);
        wait_for_answers(alice, &hers, 1);
        assert_int_equal(hers.n_records, 0);
        answers = (Answers){0};
        ask(host->bus, &answers);
        wait_for_answers(host->bus, &answers, 1);
        assert_int_equal(answers.n_records, 1);
        (void) sd_bus_flush_close_unref(alice);
}

static void test_a_daemon_ends_with_calls_that_wait(void **state) {
        BusHost *host = *state;
        Answers answers = {0};
        pid_t worker;
        int status;

        have_a_death(host);
        worker = stop_worker(host);
        ask(host->bus, &answers);
        ask(host->bus, &answers);
        assert_int_equal(manager_vm_count(host->bus), 1);
        assert_int_equal(kill(host->daemon_pid, SIGTERM), 0);
        let_worker_go(worker);
        assert_int_equal(waitpid(host->daemon_pid, &status, 0), host->daemon_pid);
        host->daemon_pid = 0;
        assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_loop_goes_on_while_the_history_is_read),
                TEST(test_a_daemon_ends_with_calls_that_wait),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
