/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons that are killed, and what the next one makes of what they left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/proc_stat.h"
#include "base/str.h"
#include "config/keeper.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

static char *start_vm(BusHost *host, const char *params) {
        char *path = vm_create(host->bus, &(VmSpec){.params = params, .detach = true});

        vm_call_ok(host->bus, path, "Start");
        return path;
}

static void kill_and_restart(BusHost *host) {
        bus_host_kill_daemon(host);
        bus_host_restart_daemon(host);
}

static pid_t pid_of(BusHost *host, const char *path) {
        return (pid_t) vm_get_number(host->bus, path, "Pid");
}

static bool is_alive(pid_t pid) {
        char path[64], text[512] = {0};
        _cleanup_(fd_closep) int fd = -EBADF;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && !strstr(text, ") Z") &&
               !strstr(text, ") X");
}

static void wait_for_name(pid_t pid, const char *expected) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        char path[64], name[32] = "";

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        while (strncmp(name, expected, strlen(expected)) != 0) {
                _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

                assert_true(clock_monotonic_usec() < deadline);
                assert_true(fd >= 0 && read(fd, name, sizeof(name) - 1) > 0);
        }
}

/* Once the fake VMM awaits it. */
static void send_usr1(pid_t pid) {
        wait_for_name(pid, "awaiting");
        assert_int_equal(kill(pid, SIGUSR1), 0);
}

static void wait_until_dead(pid_t pid) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        while (is_alive(pid))
                assert_true(clock_monotonic_usec() < deadline);
}

static void assert_state(BusHost *host, const char *path, const char *expected) {
        _cleanup_(freep) char *actual = vm_get_string(host->bus, path, "State");

        assert_string_equal(actual, expected);
}

/* The parent of the VMM. */
static pid_t keeper_of(pid_t vmm) {
        uint64_t parent;

        assert_int_equal(proc_stat_read(vmm, 4, &parent), 0);
        return (pid_t) parent;
}

static size_t history_count(BusHost *host, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        size_t n = 0;

        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetHistory", NULL, &reply, "su",
                                       name, (uint32_t) 0) >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") >= 0);
        while (sd_bus_message_skip(reply, "a{sv}") > 0)
                n++;
        return n;
}

static void test_a_vm_runs_on_and_is_found_again(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, "console:before%20 await console:after name:done sleep");
        pid_t pid = pid_of(host, path);
        Record record;

        bus_host_kill_daemon(host);
        send_usr1(pid);
        wait_for_name(pid, "done");
        bus_host_restart_daemon(host);
        assert_state(host, path, "running");
        assert_int_equal(pid_of(host, path), pid);
        vm_call_ok(host->bus, path, "Kill");
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.by, "client");
        assert_string_equal(record.console, "before after");
        assert_int_equal(bus_host_count_signals(host, "Died", path), 1);
        assert_int_equal(history_count(host, ""), 1);
}

static void test_an_end_between_two_daemons_has_its_true_reason(void **state) {
        static const struct {
                const char *params, *reason;
                int signal, exit_status, exit_signal;
        } cases[] = {{"await exit:33", "CRASH", SIGUSR1, 33, -1},
                     {"await exit:0", "SHUTDOWN", SIGUSR1, 0, -1},
                     {"await failure:MICRODROID_PAYLOAD_HAS_CHANGED exit:0",
                      "MICRODROID_PAYLOAD_HAS_CHANGED", SIGUSR1, 0, -1},
                     {"sleep", "VMM_CRASH", SIGSEGV, -1, SIGSEGV},
                     {"sleep", "VMM_CRASH", SIGKILL, -1, SIGKILL}};
        BusHost *host = *state;
        char *paths[ELEMENTSOF(cases)];
        pid_t pids[ELEMENTSOF(cases)];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                paths[i] = start_vm(host, cases[i].params);
                pids[i] = pid_of(host, paths[i]);
        }
        bus_host_kill_daemon(host);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                if (cases[i].signal == SIGUSR1)
                        send_usr1(pids[i]);
                else
                        assert_int_equal(kill(pids[i], cases[i].signal), 0);
                wait_until_dead(pids[i]);
        }
        bus_host_restart_daemon(host);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Record record;

                vm_wait_death(host, paths[i], &record);
                assert_string_equal(record.reason, cases[i].reason);
                assert_int_equal(record.exit_status, cases[i].exit_status);
                assert_int_equal(record.exit_signal, cases[i].exit_signal);
                assert_int_equal(bus_host_count_signals(host, "Died", paths[i]), 1);
                free(paths[i]);
        }
        assert_int_equal(history_count(host, ""), ELEMENTSOF(cases));
}

static void test_a_dead_vm_stays_readable_and_is_not_told_again(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, "failure:sad|story exit:33"), *text = NULL;
        Record record;

        vm_wait_death(host, path, &record);
        bus_host_settle(host); /* that it was told is on record too */
        kill_and_restart(host);
        bus_host_settle(host);
        assert_state(host, path, "dead");
        text = vm_get_string(host->bus, path, "FailureInfo");
        assert_string_equal(text, "story");
        assert_int_equal(bus_host_count_signals(host, "Died", path), 1);
        vm_call_ok(host->bus, path, "Release");
        kill_and_restart(host);
        bus_host_settle(host);
        assert_int_equal(manager_vm_count(host->bus), 0);
        assert_int_equal(history_count(host, ""), 1);
}

static void test_a_vm_outlives_its_keeper_and_its_end_is_seen(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, "await exit:34");
        pid_t pid = pid_of(host, path);
        Record record;

        assert_int_equal(kill(keeper_of(pid), SIGKILL), 0);
        bus_host_settle(host);
        assert_state(host, path, "running");
        send_usr1(pid);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "GUEST_PANIC");
}

static void test_who_dies_with_its_keeper_between_daemons_is_lost(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, "sleep");
        pid_t pid = pid_of(host, path), keeper = keeper_of(pid);
        Record record;

        bus_host_kill_daemon(host);
        assert_int_equal(kill(keeper, SIGKILL), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        wait_until_dead(pid);
        bus_host_restart_daemon(host);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "LOST");
}

static void test_a_creator_that_left_meanwhile_has_left(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *theirs = NULL, *ours = NULL;
        sd_bus *other = NULL;
        Record record;
        pid_t pid;

        bus_host_connect(host, &other);
        theirs = vm_create(other, &(VmSpec){.params = "sleep"});
        vm_call_ok(other, theirs, "Start");
        ours = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        vm_call_ok(host->bus, ours, "Start");
        pid = pid_of(host, theirs);
        bus_host_kill_daemon(host);
        (void) sd_bus_flush_close_unref(other);
        bus_host_restart_daemon(host);
        vm_wait_death(host, theirs, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.by, "disconnect");
        assert_false(is_alive(pid));
        assert_state(host, ours, "running");
}

/* Object paths end with the id. */
static void damage_state(BusHost *host, const char *path) {
        char file[160];
        _cleanup_(fd_closep) int fd = -EBADF;

        (void) snprintf(file, sizeof(file), "%s/state/%s", host->runtime, strrchr(path, '/') + 1);
        fd = open(file, O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
                /* sd_bus_path_encode() escapes a leading digit as _3x. */
                char id[64];
                unsigned first;

                assert_int_equal(sscanf(strrchr(path, '/'), "/_%2x%60s", &first, id + 1), 2);
                id[0] = (char) first;
                (void) snprintf(file, sizeof(file), "%s/state/%s", host->runtime, id);
                fd = open(file, O_WRONLY | O_CLOEXEC);
        }
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "X", 1, 60), 1);
}

static void remove_set_aside(BusHost *host) {
        char path[96];
        const struct dirent *entry;
        DIR *dir;

        (void) snprintf(path, sizeof(path), "%s/state", host->runtime);
        dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir)))
                if (strstr(entry->d_name, ".bad"))
                        assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        (void) closedir(dir);
}

static void test_a_damaged_state_costs_no_other_vm_anything(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *bad = start_vm(host, "sleep"), *good = start_vm(host, "sleep");
        pid_t pid = pid_of(host, bad);

        bus_host_kill_daemon(host);
        damage_state(host, bad);
        bus_host_restart_daemon(host);
        assert_int_equal(manager_vm_count(host->bus), 1);
        assert_state(host, good, "running");
        wait_until_dead(pid);
        remove_set_aside(host);
}

static void test_without_a_store_the_files_of_a_vm_not_started_are_lost(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                vm_create(host->bus, &(VmSpec){.params = "sleep", .detach = true});
        Record record;

        kill_and_restart(host);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "LOST");
        assert_state(host, path, "failed");
}

static void test_with_a_store_a_vm_not_started_can_be(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                vm_create(host->bus, &(VmSpec){.params = "exit:32", .detach = true});
        Record record;

        kill_and_restart(host);
        assert_state(host, path, "not-started");
        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "REBOOT");
}

static void test_cids_go_on_and_a_drain_lasts(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *first = start_vm(host, "exit:0"), *second = NULL;
        uint64_t cid = vm_get_number(host->bus, first, "Cid");
        Record record;

        vm_wait_death(host, first, &record);
        vm_call_ok(host->bus, first, "Release");
        kill_and_restart(host);
        second = start_vm(host, "sleep");
        assert_int_equal(vm_get_number(host->bus, second, "Cid"), cid + 1);
        bus_host_drain(host);
        kill_and_restart(host);
        {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                _cleanup_(freep) char *refused = NULL;

                assert_true(vm_try_create(host->bus, &(VmSpec){0}, &refused, &error) < 0);
                assert_string_equal(error.name, VIVARIUM_ERROR_DRAINING);
        }
}

#define PLAIN(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)
#define STORE(f) cmocka_unit_test_setup_teardown(f, bus_host_setup_with_store, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                PLAIN(test_a_vm_runs_on_and_is_found_again),
                STORE(test_a_vm_runs_on_and_is_found_again),
                PLAIN(test_an_end_between_two_daemons_has_its_true_reason),
                STORE(test_an_end_between_two_daemons_has_its_true_reason),
                PLAIN(test_a_dead_vm_stays_readable_and_is_not_told_again),
                PLAIN(test_a_vm_outlives_its_keeper_and_its_end_is_seen),
                PLAIN(test_who_dies_with_its_keeper_between_daemons_is_lost),
                PLAIN(test_a_creator_that_left_meanwhile_has_left),
                PLAIN(test_a_damaged_state_costs_no_other_vm_anything),
                PLAIN(test_without_a_store_the_files_of_a_vm_not_started_are_lost),
                STORE(test_with_a_store_a_vm_not_started_can_be),
                PLAIN(test_cids_go_on_and_a_drain_lasts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
