/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon's own entries in the journal, which here is a socket of the test: their fields, and a journal that stands still. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "service/journal/journal.h"
#include "tests/integration/vm_client.h"

/* More than the kernel keeps for a socket that nobody reads, and each is worth some entries. */
#define MANY_VMS 600u
#define ENTRY_BYTES_MAX 4096u

/* systemd says by this variable that standard error is the journal. */
static int setup(void **state) {
        static const char *const arguments[] = {"--log-level=info", NULL};
        struct stat st;
        char stream[64];
        int r;

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        (void) snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t) st.st_dev,
                        (uintmax_t) st.st_ino);
        assert_int_equal(setenv("JOURNAL_STREAM", stream, true), 0);
        r = bus_host_setup_with(state, arguments);
        assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
        return r;
}

static int listen_as_journal(const BusHost *host) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/journal", host->dir);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

/* The next entry, from its second byte on, for each field to have a newline before it. Return: whether there was one. */
static bool read_entry(int journal, int timeout_msec, char *entry, size_t size) {
        struct pollfd p = {.fd = journal, .events = POLLIN};
        ssize_t n;

        if (poll(&p, 1, timeout_msec) <= 0)
                return false;
        n = recv(journal, entry + 1, size - 2, 0);
        assert_true(n > 0);
        entry[0] = '\n';
        entry[n + 1] = '\0';
        return true;
}

/* The next entry with @field, whatever comes before. */
static void await_entry(int journal, const char *field, char *entry, size_t size) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        do {
                assert_true(clock_monotonic_usec() < deadline);
                assert_true(read_entry(journal, HOST_TIMEOUT_USEC / 1000, entry, size));
        } while (!strstr(entry, field));
}

static void test_a_death_is_an_entry_with_its_fields(void **state) {
        static const char *const fields[] = {
                "\nPRIORITY=4\n",
                "\nSYSLOG_IDENTIFIER=vivariumd\n",
                "\nVM=web\n",
                "\nVM_DEATH_REASON=GUEST_PANIC\n",
                "\nVM_EXIT_STATUS=34\n",
                "\nVM_FAILURE_TEXT=oops\n",
                "\nVM_FAILURE_INFO=why\n",
                "\nVM_STOP_REQUESTED_BY=\n",
        };
        BusHost *host = *state;
        _cleanup_(fd_closep) int journal = listen_as_journal(host);
        _cleanup_(freep) char *path = vm_create(
                host->bus, &(VmSpec){.name = "web", .params = "failure:oops|why exit:34"});
        char entry[ENTRY_BYTES_MAX];
        Record record;

        await_entry(journal, "\nMESSAGE_ID=" JOURNAL_MESSAGE_VM_CREATION_REQUESTED "\n", entry,
                    sizeof(entry));
        assert_non_null(strstr(entry, "\nVM_CREATION_SUCCEEDED=1\n"));
        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        await_entry(journal, "\nMESSAGE_ID=" JOURNAL_MESSAGE_VM_DIED "\n", entry, sizeof(entry));
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (!strstr(entry, fields[i]))
                        fail_msg("no %s in %s", fields[i] + 1, entry);
}

static void test_a_journal_that_stands_still_delays_nobody_and_hears_what_it_missed(void **state) {
        BusHost *host = *state;
        _cleanup_(fd_closep) int journal = listen_as_journal(host);
        _cleanup_(freep) char *path = NULL;
        char entry[ENTRY_BYTES_MAX];
        Record record;

        for (unsigned i = 0; i < MANY_VMS; i++) {
                _cleanup_(freep) char *one = vm_create(host->bus, &(VmSpec){0});

                vm_call_ok(host->bus, one, "Release");
        }
        path = vm_create(host->bus, &(VmSpec){.params = "exit:0"});
        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "SHUTDOWN");
        bus_host_settle(host); /* the last of what is lost has been */
        while (read_entry(journal, 0, entry, sizeof(entry)))
                ;
        vm_call_ok(host->bus, path, "Release");
        await_entry(journal, " entries were lost, ", entry, sizeof(entry));
        assert_non_null(strstr(entry, "\nPRIORITY=4\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_death_is_an_entry_with_its_fields),
                TEST(test_a_journal_that_stands_still_delays_nobody_and_hears_what_it_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
