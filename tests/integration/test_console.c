/* SPDX-License-Identifier: Apache-2.0 */
/* Consoles and logs that are the service's: viewers, keys, the journal, and daemons that come and go meanwhile. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "service/monitor/console.h"
#include "tests/integration/vm_client.h"

static char *start_vm(BusHost *host, const VmSpec *spec) {
        VmSpec own = *spec;
        char *path;

        own.detach = true;
        path = vm_create(host->bus, &own);
        vm_call_ok(host->bus, path, "Start");
        return path;
}

/* Return: a viewer's socket; negative errno with @error set. */
static int try_open(sd_bus *bus, const char *path, const char *method, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_call_method(bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE, method,
                                   error, &reply, NULL);
        int fd;

        if (r < 0)
                return r;
        assert_true(sd_bus_message_read(reply, "h", &fd) > 0);
        return fd_dup_cloexec(fd);
}

static int open_stream(BusHost *host, const char *path, const char *method) {
        int fd = try_open(host->bus, path, method, NULL);

        assert_true(fd >= 0);
        return fd;
}

static void open_fails(BusHost *host, const char *path, const char *method, const char *name) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(try_open(host->bus, path, method, &error) < 0);
        assert_string_equal(error.name, name);
}

/* Reads until @expected is all that came; more or the end of the socket fails. */
static void expect(int fd, const char *expected) {
        char text[4096];
        size_t len = 0, wanted = strlen(expected);

        while (len < wanted) {
                struct pollfd p = {.fd = fd, .events = POLLIN};
                ssize_t n;

                assert_true(poll(&p, 1, (int) (HOST_TIMEOUT_USEC / 1000)) > 0);
                n = read(fd, text + len, wanted - len);
                assert_true(n > 0);
                len += (size_t) n;
        }
        text[len] = '\0';
        assert_string_equal(text, expected);
}

static void expect_end(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char byte;

        assert_true(poll(&p, 1, (int) (HOST_TIMEOUT_USEC / 1000)) > 0);
        assert_int_equal(read(fd, &byte, 1), 0);
}

static void press(int fd, const char *keys) {
        assert_int_equal(send(fd, keys, strlen(keys), MSG_NOSIGNAL), strlen(keys));
}

static void test_viewers_see_and_type_and_the_end_is_theirs_too(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.params = "console:hello%0a echo console:bye"});
        _cleanup_(fd_closep) int first = open_stream(host, path, "OpenConsole"), second = -EBADF;
        Record record;

        expect(first, "hello\n");
        press(first, "ab");
        expect(first, "ab");
        second = open_stream(host, path, "OpenConsole");
        expect(second, "hello\nab");
        press(second, "q");
        expect(first, "qbye");
        expect(second, "qbye");
        expect_end(first);
        expect_end(second);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.console, "hello\nabqbye");
        open_fails(host, path, "OpenConsole", VIVARIUM_ERROR_NOT_RUNNING);
}

static void test_a_console_outlives_the_daemon(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(
                host, &(VmSpec){.params = "console:hello%0a log:logged%0a echo log:bye sleep"});
        _cleanup_(fd_closep) int before = open_stream(host, path, "OpenConsole"), after = -EBADF,
                                 log = -EBADF;
        Record record;

        press(before, "a");
        expect(before, "hello\na");
        bus_host_kill_daemon(host);
        expect_end(before);
        bus_host_restart_daemon(host);
        after = open_stream(host, path, "OpenConsole");
        log = open_stream(host, path, "OpenLog");
        expect(after, "hello\na");
        expect(log, "logged\n");
        press(after, "b");
        expect(after, "b");
        bus_host_kill_daemon(host);
        bus_host_restart_daemon(host);
        after = fd_close(after);
        after = open_stream(host, path, "OpenConsole");
        log = fd_close(log);
        log = open_stream(host, path, "OpenLog");
        press(after, "q");
        expect(after, "hello\nabq");
        expect(log, "logged\nbye");
        vm_call_ok(host->bus, path, "Kill");
        expect_end(log);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.console, "hello\nabq");
}

static void test_the_log_can_be_read_only(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.params = "log:line%0a console:other sleep"});
        _cleanup_(fd_closep) int log = open_stream(host, path, "OpenLog");

        expect(log, "line\n");
        assert_int_equal(send(log, "x", 1, MSG_NOSIGNAL), -1);
        assert_int_equal(errno, EPIPE);
}

static void test_what_the_creator_has_is_nobody_elses(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = NULL;
        _cleanup_(fd_closep) int log = -EBADF;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        path = start_vm(host,
                        &(VmSpec){.params = "console:mine log:ours sleep", .console = fds[1]});
        open_fails(host, path, "OpenConsole", VIVARIUM_ERROR_UNSUPPORTED);
        log = open_stream(host, path, "OpenLog");
        expect(log, "ours");
        expect(fds[0], "mine");
        (void) close(fds[0]);
        (void) close(fds[1]);
}

static void test_viewers_are_limited_and_cost_nothing_when_they_go(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = start_vm(host, &(VmSpec){.params = "console:x sleep"});
        int viewers[CONSOLE_VIEWERS_MAX];
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        size_t before;

        open_fails(host, "/org/vivarium/vm1/vm/nobody", "OpenConsole", VIVARIUM_ERROR_NO_SUCH_VM);
        bus_host_settle(host);
        before = daemon_holdings(host).fds;
        for (unsigned i = 0; i < CONSOLE_VIEWERS_MAX; i++)
                viewers[i] = open_stream(host, path, "OpenConsole");
        open_fails(host, path, "OpenConsole", VIVARIUM_ERROR_QUOTA_EXCEEDED);
        for (unsigned i = 0; i < CONSOLE_VIEWERS_MAX; i++)
                (void) close(viewers[i]);
        /* Calls come before viewers, so no answer says that their end was seen. */
        while (daemon_holdings(host).fds != before)
                assert_true(clock_monotonic_usec() < deadline);
}

static void test_a_viewer_that_never_reads_delays_neither_guest_nor_daemon(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.params = "console-flood:8000000 console:done exit:0"});
        _cleanup_(fd_closep) int viewer = try_open(host->bus, path, "OpenConsole", NULL);
        Record record;

        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "SHUTDOWN");
        assert_int_equal(record.console_len, 4096);
        assert_string_equal(record.console + 4092, "done");
}

/* A journal that is a socket of ours. */
static int listen_as_journal(const BusHost *host) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/journal", host->dir);
        (void) unlink(address.sun_path);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

typedef struct Entry {
        char text[4096]; /* fields between newlines */
} Entry;

static void read_entry(int journal, Entry *entry) {
        struct pollfd p = {.fd = journal, .events = POLLIN};
        ssize_t n;

        assert_true(poll(&p, 1, (int) (HOST_TIMEOUT_USEC / 1000)) > 0);
        n = recv(journal, entry->text + 1, sizeof(entry->text) - 2, 0);
        assert_true(n > 0);
        entry->text[0] = '\n';
        entry->text[n + 1] = '\0';
}

static void assert_has(const Entry *entry, const char *const *fields) {
        for (; *fields; fields++) {
                char line[256];

                (void) snprintf(line, sizeof(line), "\n%s\n", *fields);
                assert_non_null(strstr(entry->text, line));
        }
}

#define ASSERT_HAS(entry, ...) assert_has(entry, (const char *const[]){__VA_ARGS__, NULL})

static void test_lines_go_to_the_journal_with_the_fields_of_their_vm(void **state) {
        BusHost *host = *state;
        _cleanup_(fd_closep) int journal = listen_as_journal(host);
        _cleanup_(freep) char *path =
                start_vm(host, &(VmSpec){.name = "web",
                                         .params = "console:a%1b[1mb%0ahalf console:%20line "
                                                   "log:note%0a await console:%0arest exit:0"});
        Entry entries[2];
        char id[64], cid[32];
        unsigned note;
        _cleanup_(freep) char *vm_id = vm_get_string(host->bus, path, "Id");
        uint64_t pid = vm_get_number(host->bus, path, "Pid");

        (void) snprintf(id, sizeof(id), "VM_ID=%s", vm_id);
        (void) snprintf(cid, sizeof(cid), "VM_CID=%u",
                        (unsigned) vm_get_number(host->bus, path, "Cid"));
        read_entry(journal, &entries[0]);
        read_entry(journal, &entries[1]);
        /* Between two streams there is no order. */
        note = strstr(entries[0].text, "VM_STREAM=log") ? 0 : 1;
        ASSERT_HAS(&entries[1 - note], "MESSAGE=web: ab", "PRIORITY=6", "VM=web", id, cid,
                   "VM_STREAM=console", "SYSLOG_IDENTIFIER=vivarium-console");
        ASSERT_HAS(&entries[note], "MESSAGE=web: note", "VM=web", "VM_STREAM=log",
                   "SYSLOG_IDENTIFIER=vivarium-log");
        /* What the old daemon told the new one does not tell again, and half a line is none. */
        bus_host_kill_daemon(host);
        bus_host_restart_daemon(host);
        assert_int_equal(kill((pid_t) pid, SIGUSR1), 0);
        read_entry(journal, &entries[0]);
        ASSERT_HAS(&entries[0], "MESSAGE=web: half line", "VM=web", id);
        read_entry(journal, &entries[0]);
        ASSERT_HAS(&entries[0], "MESSAGE=web: rest", "VM=web", "VM_LINE_BREAK=eof");
}

static void test_a_journal_that_takes_nothing_delays_nobody(void **state) {
        BusHost *host = *state;
        _cleanup_(fd_closep) int journal = listen_as_journal(host);
        _cleanup_(freep) char *path = NULL;
        _cleanup_(strbuf_deinit) StrBuf params = {0};
        Record record;

        /* More lines than a socket that nobody reads has room for. */
        strbuf_append(&params, "console:");
        for (unsigned i = 0; i < 300; i++)
                strbuf_append(&params, "%0ax");
        path = start_vm(host, &(VmSpec){.params = params.data});
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "SHUTDOWN");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_host_setup, bus_host_teardown)
#define TEST_WITH_STORE(name)                                                                      \
        { #name "_with_store", name, bus_host_setup_with_store, bus_host_teardown, NULL }

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_viewers_see_and_type_and_the_end_is_theirs_too),
                TEST(test_a_console_outlives_the_daemon),
                TEST_WITH_STORE(test_a_console_outlives_the_daemon),
                TEST(test_the_log_can_be_read_only),
                TEST(test_what_the_creator_has_is_nobody_elses),
                TEST(test_viewers_are_limited_and_cost_nothing_when_they_go),
                TEST(test_a_viewer_that_never_reads_delays_neither_guest_nor_daemon),
                TEST(test_lines_go_to_the_journal_with_the_fields_of_their_vm),
                TEST(test_a_journal_that_takes_nothing_delays_nobody),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
