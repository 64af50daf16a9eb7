/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which a VM can end, and what the daemon says of it. */
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
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

/* Runs a VM to its own end. */
static void run_vm(BusHost *host, const char *params, Record *ret) {
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = params});

        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, ret);
}

static void test_each_exit_status_has_its_reason(void **state) {
        static const struct {
                int status;
                const char *reason;
                int code;
        } cases[] = {
                {0, "SHUTDOWN", 3},          {1, "START_FAILED", 4},
                {32, "REBOOT", 5},           {33, "CRASH", 6},
                {34, "GUEST_PANIC", 100},    {35, "VMM_INVALID_ARGS", 101},
                {36, "WATCHDOG_REBOOT", 17}, {2, "UNKNOWN", 2},
                {255, "UNKNOWN", 2},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char params[32];
                Record record;

                (void) snprintf(params, sizeof(params), "exit:%d", cases[i].status);
                run_vm(*state, params, &record);
                assert_string_equal(record.reason, cases[i].reason);
                assert_int_equal(record.code, cases[i].code);
                assert_int_equal(record.exit_status, cases[i].status);
                assert_int_equal(record.exit_signal, -1);
                assert_string_equal(record.by, "");
        }
}

static void test_a_signal_is_a_crash_of_the_vmm_and_recorded(void **state) {
        static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGTERM};

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                char params[32];
                Record record;

                (void) snprintf(params, sizeof(params), "signal:%d", signals[i]);
                run_vm(*state, params, &record);
                assert_string_equal(record.reason, "VMM_CRASH");
                assert_int_equal(record.code, 102);
                assert_int_equal(record.exit_signal, signals[i]);
                assert_int_equal(record.exit_status, -1);
        }
}

static void test_a_forbidden_system_call_is_told_apart(void **state) {
        Record record;

        run_vm(*state, "signal:31", &record);
        assert_string_equal(record.reason, "VMM_SECCOMP");
        assert_int_equal(record.code, 104);
        assert_string_equal(record.system_call, "");
}

/* With the VMM's own sandbox. */
static void test_a_call_that_the_filter_forbids_is_named_in_the_record(void **state) {
        Record record;

        run_vm(*state, "forbidden", &record);
        assert_string_equal(record.reason, "VMM_SECCOMP");
        assert_int_equal(record.exit_signal, SIGSYS);
        assert_string_equal(record.system_call, "ptrace");
        assert_non_null(strstr(record.err, "seccomp: thread 'fake_vmm' may not call ptrace"));
}

static void test_each_name_on_the_failure_port_wins_over_the_exit_status(void **state) {
        static const struct {
                const char *name;
                int code;
        } cases[] = {
                {"PVM_FIRMWARE_PUBLIC_KEY_MISMATCH", 7},
                {"PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED", 8},
                {"MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE", 11},
                {"MICRODROID_PAYLOAD_HAS_CHANGED", 12},
                {"MICRODROID_PAYLOAD_VERIFICATION_FAILED", 13},
                {"MICRODROID_INVALID_PAYLOAD_CONFIG", 14},
                {"MICRODROID_UNKNOWN_RUNTIME_ERROR", 15},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (unsigned with_info = 0; with_info < 2; with_info++) {
                        char params[256];
                        Record record;

                        (void) snprintf(params, sizeof(params), "failure:%s%s exit:0",
                                        cases[i].name, with_info ? "|line%20one|two" : "");
                        run_vm(*state, params, &record);
                        assert_string_equal(record.reason, cases[i].name);
                        assert_int_equal(record.code, cases[i].code);
                        assert_int_equal(record.exit_status, 0);
                        assert_string_equal(record.text, cases[i].name);
                        assert_string_equal(record.info, with_info ? "line one|two" : "");
                }
}

static void test_other_failure_texts_are_kept_and_decide_nothing(void **state) {
        static const char *const texts[] = {"HANGUP", "SHUTDOWN", "nonsense"};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char params[64];
                Record record;

                (void) snprintf(params, sizeof(params), "failure:%s exit:33", texts[i]);
                run_vm(*state, params, &record);
                assert_string_equal(record.reason, "CRASH");
                assert_string_equal(record.text, texts[i]);
        }
}

static void test_a_mebibyte_of_garbage_is_drained_and_counted(void **state) {
        Record record;

        run_vm(*state, "flood:1048576 exit:32", &record);
        assert_string_equal(record.reason, "REBOOT");
        assert_int_equal(record.failure_bytes, 1048576);
        assert_string_equal(record.text, "");
        assert_true(strlen(record.info) > 200);
}

/* The properties of a thousand dead VMs go into one message. */
static void test_a_property_holds_a_part_of_a_long_failure(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "flood:50000"});
        _cleanup_(freep) char *info = NULL;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        info = vm_get_string(host->bus, path, "FailureInfo");
        assert_int_equal(strlen(info), 4096);
}

static void test_the_last_words_are_kept(void **state) {
        Record record;

        run_vm(*state, "console:one console:%20two stderr:oops exit:1", &record);
        assert_string_equal(record.console, "one two");
        assert_string_equal(record.err, "oops");
}

static void test_kill_is_answered_after_the_record_exists(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        _cleanup_(freep) char *reason = NULL, *vm_state = NULL;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        vm_call_ok(host->bus, path, "Kill");
        /* sd-bus queued the signal before it gave us the answer. */
        while (sd_bus_process(host->bus, NULL) > 0)
                ;
        assert_int_equal(bus_host_count_signals(host, "Died", path), 1);
        reason = vm_get_string(host->bus, path, "DeathReason");
        vm_state = vm_get_string(host->bus, path, "State");
        assert_string_equal(reason, "KILLED");
        assert_string_equal(vm_state, "dead");
        vm_wait_death(host, path, &record);
        assert_int_equal(record.code, 1);
        assert_int_equal(record.exit_signal, SIGKILL);
        assert_string_equal(record.by, "client");
        assert_int_equal(record.by_uid, getuid());
        assert_int_equal(record.by_pid, getpid());
}

static void test_a_sigkill_from_elsewhere_is_no_client_s_wish(void **state) {
        static const int signals[] = {SIGKILL, SIGSEGV};
        BusHost *host = *state;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
                Record record;

                vm_call_ok(host->bus, path, "Start");
                assert_int_equal(kill((pid_t) vm_get_number(host->bus, path, "Pid"), signals[i]),
                                 0);
                vm_wait_death(host, path, &record);
                assert_string_equal(record.reason, "VMM_CRASH");
                assert_int_equal(record.exit_signal, signals[i]);
                assert_string_equal(record.by, "");
        }
}

static void test_a_drain_is_the_end_of_all_vms_and_of_new_ones(void **state) {
        BusHost *host = *state;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        _cleanup_(freep) char *idle = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        _cleanup_(freep) char *refused = NULL;
        pid_t pid;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        pid = (pid_t) vm_get_number(host->bus, path, "Pid");
        bus_host_drain(host);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.by, "drain");
        assert_int_equal(record.by_pid, getpid());
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
        vm_call_fails(host->bus, idle, "Start", VIVARIUM_ERROR_DRAINING);
        assert_true(vm_try_create(host->bus, &(VmSpec){0}, &refused, &error) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_DRAINING);
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "CancelDrain", NULL, NULL,
                                       NULL) >= 0);
        vm_call_ok(host->bus, idle, "Start");
}

static bool process_is_alive(pid_t pid) {
        char path[64], text[512] = {0};
        _cleanup_(fd_closep) int fd = -EBADF;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
                return false;
        return !strstr(text, ") Z") && !strstr(text, ") X");
}

/* Waits for the child that @pid is about to fork. */
static pid_t wait_for_child_of(pid_t pid) {
        char path[64];
        int child = 0;

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
        while (child == 0) {
                FILE *file = fopen(path, "re");

                assert_non_null(file);
                if (fscanf(file, "%d", &child) != 1)
                        child = 0;
                (void) fclose(file);
        }
        return child;
}

static void test_what_the_vmm_forked_dies_with_it(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "fork sleep"});
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        pid_t child;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        child = wait_for_child_of((pid_t) vm_get_number(host->bus, path, "Pid"));
        vm_call_ok(host->bus, path, "Kill");
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "KILLED");
        /* The signal is sent before the death is told; the kernel delivers it soon after. */
        while (process_is_alive(child)) {
                assert_true(clock_monotonic_usec() < deadline);
                bus_host_settle(host);
        }
}

/* The daemon is their next subreaper. */
static void test_what_a_killed_keeper_leaves_is_reaped(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "fork sleep"});
        Holdings before = daemon_holdings(host), after;
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        pid_t keeper;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        keeper = wait_for_child_of(host->daemon_pid);
        (void) wait_for_child_of((pid_t) vm_get_number(host->bus, path, "Pid"));
        assert_int_equal(kill(keeper, SIGKILL), 0);
        vm_call_ok(host->bus, path, "Kill");
        vm_wait_death(host, path, &record);
        do
                after = daemon_holdings(host);
        while (after.children > before.children && clock_monotonic_usec() < deadline);
        assert_int_equal(after.children, before.children);
}

static void test_a_client_s_console_gets_all_and_the_record_nothing(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = NULL;
        char buf[64] = {0};
        Record record;
        int console[2], log[2];

        assert_int_equal(pipe2(console, O_CLOEXEC), 0);
        assert_int_equal(pipe2(log, O_CLOEXEC), 0);
        path = vm_create(host->bus, &(VmSpec){.params = "console:hello log:world exit:0",
                                              .console = console[1],
                                              .log = log[1]});
        (void) fd_close(console[1]);
        (void) fd_close(log[1]);
        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        assert_int_equal(record.console_len, 0);
        /* Then end of file: the daemon kept no copy of the writing end. */
        assert_int_equal(read(console[0], buf, sizeof(buf)), 5);
        assert_memory_equal(buf, "hello", 5);
        assert_int_equal(read(console[0], buf, sizeof(buf)), 0);
        assert_int_equal(read(log[0], buf, sizeof(buf)), 5);
        assert_memory_equal(buf, "world", 5);
        assert_int_equal(read(log[0], buf, sizeof(buf)), 0);
        (void) fd_close(console[0]);
        (void) fd_close(log[0]);
}

static void test_use_is_sampled_from_the_start_and_peaks_are_kept(void **state) {
        BusHost *host = *state;
        /* A name with a parenthesis and blanks, which shifts the fields for who splits at blanks. */
        _cleanup_(freep) char *path =
                vm_create(host->bus, &(VmSpec){.params = "name:a)%20b%20c touch:8388608 sleep"});
        Record record;

        vm_call_ok(host->bus, path, "Start");
        while (vm_get_number(host->bus, path, "RssGuestBytes") < 8388608)
                assert_true(sd_bus_wait(host->bus, 10 * 1000) >= 0);
        assert_true(vm_get_number(host->bus, path, "RssVmmBytes") > 0);
        vm_call_ok(host->bus, path, "Kill");
        vm_wait_death(host, path, &record);
        assert_true(record.rss_guest_peak >= 8388608);
        assert_true(record.rss_vmm_peak > 0);
        assert_true(record.rss_peak >= record.rss_guest_peak);
        assert_true(record.run_time_usec > 0);
        assert_int_equal(vm_get_number(host->bus, path, "RssGuestBytes"), 0);
}

/* Most of these have gone before anybody could look at them. */
static void test_the_peak_is_exact_however_short_the_life(void **state) {
        static const char *const lives[] = {"touch:33554432 exit:0", "touch:33554432 signal:11"};
        BusHost *host = *state;

        for (size_t i = 0; i < ELEMENTSOF(lives); i++) {
                _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = lives[i]});
                Record record;

                vm_call_ok(host->bus, path, "Start");
                vm_wait_death(host, path, &record);
                assert_in_range(record.rss_peak, 33554432, 4 * 33554432);
                assert_int_equal(vm_get_number(host->bus, path, "RssPeakBytes"), record.rss_peak);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_exit_status_has_its_reason),
                TEST(test_a_signal_is_a_crash_of_the_vmm_and_recorded),
                TEST(test_a_forbidden_system_call_is_told_apart),
                TEST(test_a_call_that_the_filter_forbids_is_named_in_the_record),
                TEST(test_each_name_on_the_failure_port_wins_over_the_exit_status),
                TEST(test_other_failure_texts_are_kept_and_decide_nothing),
                TEST(test_a_mebibyte_of_garbage_is_drained_and_counted),
                TEST(test_a_property_holds_a_part_of_a_long_failure),
                TEST(test_the_last_words_are_kept),
                TEST(test_kill_is_answered_after_the_record_exists),
                TEST(test_a_sigkill_from_elsewhere_is_no_client_s_wish),
                TEST(test_a_drain_is_the_end_of_all_vms_and_of_new_ones),
                TEST(test_what_a_killed_keeper_leaves_is_reaped),
                TEST(test_what_the_vmm_forked_dies_with_it),
                TEST(test_a_client_s_console_gets_all_and_the_record_nothing),
                TEST(test_use_is_sampled_from_the_start_and_peaks_are_kept),
                TEST(test_the_peak_is_exact_however_short_the_life),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
