/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guests say of their payloads, and how VMs are stopped. The test speaks as the VMM would for its guest; the VMM is
 * the fake one, which never answers its control socket.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

#define SLEEP (&(VmSpec){.params = "sleep", .detach = true})

/* Return: owned descriptor; negative where nobody listens. */
static int connect_guest(const BusHost *host, unsigned cid) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/vm/%u/vsock/vsock_%u",
                        host->runtime, cid, cid);
        return connect(fd, (const struct sockaddr *) &address, sizeof(address)) == 0 ? fd
                                                                                     : fd_close(fd);
}

/* Says it and waits until the daemon has closed the connection. Return: what it answered; static. */
static const char *say_bytes(const BusHost *host, const char *data, size_t len) {
        static char answer[256];
        _cleanup_(fd_closep) int fd = connect_guest(host, 2048);
        size_t n = 0;
        ssize_t got;

        assert_true(fd >= 0);
        assert_true(send(fd, data, len, MSG_NOSIGNAL) == (ssize_t) len);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        while ((got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
                n += (size_t) got;
        answer[n] = '\0';
        return answer;
}

static const char *say(const BusHost *host, const char *text) {
        return say_bytes(host, text, strlen(text));
}

static char *start_vm(BusHost *host, const VmSpec *spec) {
        char *path = vm_create(host->bus, spec);

        vm_call_ok(host->bus, path, "Start");
        return path;
}

static void assert_payload(BusHost *host, const char *path, const char *expected) {
        _cleanup_(freep) char *actual = vm_get_string(host->bus, path, "PayloadState");

        assert_string_equal(actual, expected);
}

static void stop_vm(BusHost *host, const char *path, uint64_t timeout_usec) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE, "Stop",
                               &error, NULL, "t", timeout_usec) < 0)
                fail_msg("Stop: %s: %s", error.name, error.message);
}

static void test_the_payload_moves_forward_as_the_guest_says(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP), *status = NULL;
        sd_bus_message *finished;
        int32_t code;

        assert_payload(host, path, "starting");
        assert_string_equal(say(host, "STATUS=up\nX_SYSTEMD_UNIT=a\n"), "");
        assert_non_null(bus_host_wait_signal(host, "PayloadStarted", path));
        assert_payload(host, path, "started");
        status = vm_get_string(host->bus, path, "PayloadStatus");
        assert_string_equal(status, "up");
        assert_true(vm_get_number(host->bus, path, "PayloadStartedTimestamp") > 0);
        assert_string_equal(say(host, "READY=1"), "");
        assert_non_null(bus_host_wait_signal(host, "PayloadReady", path));
        assert_payload(host, path, "ready");
        assert_string_equal(say(host, "EXIT_STATUS=7"), "");
        finished = bus_host_wait_signal(host, "PayloadFinished", path);
        assert_true(sd_bus_message_read(finished, "i", &code) > 0);
        assert_int_equal(code, 7);
        assert_payload(host, path, "finished");
        assert_int_equal(vm_get_number(host->bus, path, "PayloadExitCode"), 7);
}

static void test_an_error_finishes_the_payload_in_the_guests_words(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        sd_bus_message *signal;
        const char *message;
        int32_t code;

        assert_string_equal(say(host, "X_VIVARIUM_ERROR=3 no \xff disk"), "");
        signal = bus_host_wait_signal(host, "PayloadError", path);
        assert_true(sd_bus_message_read(signal, "is", &code, &message) > 0);
        assert_int_equal(code, 3);
        assert_string_equal(message, "no \xef\xbf\xbd disk");
        assert_payload(host, path, "finished");
}

static void test_steps_back_and_nonsense_are_refused_and_change_nothing(void **state) {
        static const char refused[] = "X_VIVARIUM_REFUSED=";
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        char much[5000];
        const struct {
                const char *data;
                size_t len;
        } bad[] = {{"READY=1", 7},
                   {"X_VIVARIUM_STATE=started", 24},
                   {"EXIT_STATUS=x", 13},
                   {"READY=1\0", 8},
                   {much, sizeof(much)}};

        memset(much, 'x', sizeof(much));
        assert_string_equal(say(host, "READY=1"), "");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const char *answer = say_bytes(host, bad[i].data, bad[i].len);

                /* What was not read any more may have reset the connection, and the answer with it. */
                assert_true(strncmp(answer, refused, strlen(refused)) == 0 ||
                            (bad[i].data == much && *answer == '\0'));
                assert_payload(host, path, "ready");
        }
        bus_host_settle(host);
        assert_int_equal(bus_host_count_signals(host, "PayloadReady", path), 1);
}

static void test_a_guest_that_talks_without_end_harms_nobody(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        int fds[40];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                assert_true(fds[i] >= 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                struct sockaddr_un address = {.sun_family = AF_UNIX};

                (void) snprintf(address.sun_path, sizeof(address.sun_path),
                                "%s/vm/2048/vsock/vsock_2048", host->runtime);
                if (connect(fds[i], (const struct sockaddr *) &address, sizeof(address)) < 0)
                        assert_int_equal(errno, EAGAIN);
        }
        /* All places are taken, the backlog is full, and the daemon does as it is told. */
        assert_payload(host, path, "starting");
        vm_call_ok(host->bus, path, "Kill");
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void) fd_close(fds[i]);
}

static void test_a_payload_that_does_not_start_in_time_is_killed(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.params = "sleep", .boot_timeout_usec = 100000});
        Record record;

        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "HANGUP");
        assert_string_equal(record.by, "");
        assert_payload(host, path, "hangup");
}

/* Starts a VM whose guest says that it is up. Return: owned path; NULL if its time was over before that was heard. */
static char *start_vm_in_time(BusHost *host, uint64_t boot_timeout_usec) {
        _cleanup_(freep) char *path = start_vm(
                host, &(VmSpec){.params = "sleep", .boot_timeout_usec = boot_timeout_usec});
        _cleanup_(fd_closep) int fd =
                connect_guest(host, (unsigned) vm_get_number(host->bus, path, "Cid"));
        _cleanup_(freep) char *payload = NULL;
        Record record;
        char c;

        if (fd >= 0 && send(fd, "STATUS=up", 9, MSG_NOSIGNAL) == 9 && shutdown(fd, SHUT_WR) == 0)
                (void) recv(fd, &c, 1, 0);
        payload = vm_get_string(host->bus, path, "PayloadState");
        if (str_eq(payload, "started"))
                return TAKE(path);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "HANGUP");
        return NULL;
}

/* A machine that is too slow for the time gets twice as much. */
static void test_a_payload_that_started_has_all_the_time_it_likes(void **state) {
        BusHost *host = *state;
        uint64_t timeout_usec = 1000000;
        _cleanup_(freep) char *slow = NULL, *other = NULL;
        Record record;

        while (!(slow = start_vm_in_time(host, timeout_usec))) {
                timeout_usec *= 2;
                assert_true(timeout_usec < HOST_TIMEOUT_USEC);
        }
        other = start_vm(host,
                         &(VmSpec){.params = "sleep", .boot_timeout_usec = timeout_usec + 200000});
        vm_wait_death(host, other, &record); /* by then the time of the first is over, too */
        assert_payload(host, slow, "started");
        assert_int_equal(bus_host_count_signals(host, "Died", slow), 0);
}

/* The gentler ways are closed at once, so that the signal has all of the time. */
static void test_a_vmm_that_cannot_be_asked_is_stopped_by_a_signal(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.params = "deaf sleep", .detach = true});
        Record record;

        stop_vm(host, path, 3600000000);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.step, "sigterm");
        assert_string_equal(record.by, "client");
        assert_int_equal(record.exit_signal, SIGTERM);
        vm_call_fails(host->bus, path, "Suspend", VIVARIUM_ERROR_NOT_RUNNING);
}

static void test_without_time_a_vm_is_killed(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        Record record;

        stop_vm(host, path, 0);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.step, "sigkill");
}

static int on_stopped(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        unsigned *n = userdata;

        assert_false(sd_bus_message_is_method_error(reply, NULL));
        (*n)++;
        return 0;
}

static void test_stops_share_one_end_which_the_greatest_hurry_brings(void **state) {
        static const uint64_t timeouts[] = {UINT64_MAX, 3600000000, 400000};
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        unsigned n_answers = 0;

        for (size_t i = 0; i < ELEMENTSOF(timeouts); i++)
                assert_true(sd_bus_call_method_async(host->bus, NULL, VIVARIUM_BUS_NAME, path,
                                                     VIVARIUM_VM_INTERFACE, "Stop", on_stopped,
                                                     &n_answers, "t", timeouts[i]) >= 0);
        assert_non_null(bus_host_wait_signal(host, "Died", path));
        while (n_answers < ELEMENTSOF(timeouts))
                assert_true(sd_bus_process(host->bus, NULL) > 0 ||
                            sd_bus_wait(host->bus, HOST_TIMEOUT_USEC) > 0);
        assert_int_equal(bus_host_count_signals(host, "Died", path), 1);
}

static void test_a_new_daemon_hears_the_guest_and_goes_on_stopping(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.params = "await deaf sleep", .detach = true});
        Record record;

        assert_string_equal(say(host, "READY=1\nSTATUS=fine"), "");
        assert_true(sd_bus_call_method_async(host->bus, NULL, VIVARIUM_BUS_NAME, path,
                                             VIVARIUM_VM_INTERFACE, "Stop", NULL, NULL, "t",
                                             (uint64_t) 3600000000) >= 0);
        assert_payload(host, path, "ready"); /* answered behind the Stop */
        bus_host_kill_daemon(host);
        bus_host_restart_daemon(host);
        assert_payload(host, path, "ready");
        assert_string_equal(say(host, "EXIT_STATUS=0"), "");
        assert_payload(host, path, "finished");
        /* The power button, which it did not answer, and all the rest of the way are closed now. */
        assert_int_equal(kill((pid_t) vm_get_number(host->bus, path, "Pid"), SIGUSR1), 0);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.step, "sigterm");
        assert_string_equal(record.by, "client");
}

static void test_what_needs_a_running_vm_is_refused_without_one(void **state) {
        static const char *const methods[] = {"Suspend", "Resume", "GetMemoryBalloon"};
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, SLEEP);

        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                vm_call_fails(host->bus, path, methods[i], VIVARIUM_ERROR_NOT_RUNNING);
        vm_call_ok(host->bus, path, "Start");
        vm_call_fails(host->bus, path, "Resume", "org.vivarium.vm1.Error.NotSuspended");
}

/* The socket of the VMM that takes CONNECT. */
static int listen_as_vmm(const BusHost *host) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/vm/2048/vsock/vsock",
                        host->runtime);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

typedef struct Answer {
        bool came;
        int fd; /* owned */
        char error[80];
} Answer;

static int on_connected(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Answer *answer = userdata;
        int fd;

        answer->came = true;
        if (sd_bus_message_is_method_error(reply, NULL))
                (void) snprintf(answer->error, sizeof(answer->error), "%s",
                                sd_bus_message_get_error(reply)->name);
        else {
                assert_true(sd_bus_message_read(reply, "h", &fd) > 0);
                answer->fd = fd_dup_cloexec(fd);
        }
        return 0;
}

/* Calls ConnectVsock, and has the VMM answer @words, if any, and hang up if @hang_up. */
static Answer connect_port(BusHost *host, const char *path, int vmm, const char *words,
                           bool hang_up, int *ret_conn) {
        Answer answer = {.fd = -EBADF};
        char line[32] = "";
        int conn;

        assert_true(sd_bus_call_method_async(host->bus, NULL, VIVARIUM_BUS_NAME, path,
                                             VIVARIUM_VM_INTERFACE, "ConnectVsock", on_connected,
                                             &answer, "u", 5000) >= 0);
        assert_true(sd_bus_flush(host->bus) >= 0);
        conn = accept4(vmm, NULL, NULL, SOCK_CLOEXEC);
        assert_true(conn >= 0);
        assert_int_equal(recv(conn, line, 13, MSG_WAITALL), 13);
        assert_string_equal(line, "CONNECT 5000\n");
        assert_int_equal(fd_write_all(conn, words, strlen(words)), 0);
        if (hang_up)
                conn = fd_close(conn);
        while (!answer.came)
                assert_true(sd_bus_process(host->bus, NULL) > 0 ||
                            sd_bus_wait(host->bus, HOST_TIMEOUT_USEC) > 0);
        *ret_conn = conn;
        return answer;
}

static void test_a_port_of_the_guest_is_handed_out_with_all_that_it_says(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        _cleanup_(fd_closep) int vmm = listen_as_vmm(host), conn = -EBADF;
        char text[16] = "";
        Answer answer = connect_port(host, path, vmm, "OK 1073741824\nhello", false, &conn);

        assert_true(answer.fd >= 0);
        assert_int_equal(recv(answer.fd, text, 5, MSG_WAITALL), 5);
        assert_string_equal(text, "hello");
        assert_int_equal(fd_write_all(answer.fd, "you", 3), 0);
        assert_int_equal(recv(conn, text, 3, MSG_WAITALL), 3);
        assert_memory_equal(text, "you", 3);
        (void) fd_close(answer.fd);
}

static void test_a_vmm_that_misspeaks_gets_no_client(void **state) {
        static const char *const words[] = {"", "OK", "OK x\n", "no\n",
                                            "OK 0000000000000000000000000000000001\n"};
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        _cleanup_(fd_closep) int vmm = listen_as_vmm(host);

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                _cleanup_(fd_closep) int conn = -EBADF;
                Answer answer = connect_port(host, path, vmm, words[i], true, &conn);

                assert_true(answer.fd < 0 && *answer.error);
        }
}

static void test_privileged_ports_are_not_for_clients(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, SLEEP);
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                       "ConnectVsock", &error, NULL, "u", 1023) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_INVALID_CONFIG);
}

#define PLAIN(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)
#define STORE(f) cmocka_unit_test_setup_teardown(f, bus_host_setup_with_store, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                PLAIN(test_the_payload_moves_forward_as_the_guest_says),
                PLAIN(test_an_error_finishes_the_payload_in_the_guests_words),
                PLAIN(test_steps_back_and_nonsense_are_refused_and_change_nothing),
                PLAIN(test_a_guest_that_talks_without_end_harms_nobody),
                PLAIN(test_a_payload_that_does_not_start_in_time_is_killed),
                PLAIN(test_a_payload_that_started_has_all_the_time_it_likes),
                PLAIN(test_a_vmm_that_cannot_be_asked_is_stopped_by_a_signal),
                PLAIN(test_without_time_a_vm_is_killed),
                PLAIN(test_stops_share_one_end_which_the_greatest_hurry_brings),
                PLAIN(test_a_new_daemon_hears_the_guest_and_goes_on_stopping),
                STORE(test_a_new_daemon_hears_the_guest_and_goes_on_stopping),
                PLAIN(test_a_port_of_the_guest_is_handed_out_with_all_that_it_says),
                PLAIN(test_a_vmm_that_misspeaks_gets_no_client),
                PLAIN(test_privileged_ports_are_not_for_clients),
                PLAIN(test_what_needs_a_running_vm_is_refused_without_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
