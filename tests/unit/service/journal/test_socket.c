/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/journal/socket.h"

/* A journal, and the directory of its socket. */
static int listen_in(char *dir, char *path, size_t size) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        assert_non_null(mkdtemp(dir));
        assert_true(snprintf(path, size, "%s/socket", dir) < (int) size);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void test_a_value_of_several_lines_makes_no_field(void **state) {
        static const char expected[] = "ONE=1\nTEXT\n\x05\0\0\0\0\0\0\0a\nB=c\nLAST=\n";
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        journal_field(&entry, "ONE", "%d", 1);
        journal_field(&entry, "TEXT", "a\n%s", "B=c");
        journal_field(&entry, "LAST", "%s", "");
        assert_false(entry.failed);
        assert_int_equal(entry.len, sizeof(expected) - 1);
        assert_memory_equal(entry.data, expected, entry.len);
}

static void test_what_a_full_journal_does_not_take_is_counted(void **state) {
        char dir[] = "/tmp/vivarium-journal.XXXXXX", path[64], buf[16];
        _cleanup_(fd_closep) int listener = listen_in(dir, path, sizeof(path));
        _cleanup_(strbuf_deinit) StrBuf entry = {0};
        JournalSocket journal;
        unsigned n = 0;

        assert_int_equal(journal_socket_open(path, &journal), 0);
        journal_field(&entry, "MESSAGE", "x");
        while (journal_socket_send(&journal, &entry))
                assert_true(++n < 100000);
        assert_int_equal(journal.n_lost, 1);
        assert_false(journal_socket_send(&journal, &entry));
        assert_int_equal(journal.n_lost, 2);
        assert_true(recv(listener, buf, sizeof(buf), 0) > 0);
        assert_true(journal_socket_send(&journal, &entry));
        assert_int_equal(journal.n_lost, 2);
        journal_socket_deinit(&journal);
        (void) unlink(path);
        (void) rmdir(dir);
}

static void test_without_a_journal_nothing_is_taken(void **state) {
        _cleanup_(strbuf_deinit) StrBuf entry = {0};
        char too_long[200];
        JournalSocket journal;

        memset(too_long, 'x', sizeof(too_long));
        too_long[0] = '/';
        too_long[sizeof(too_long) - 1] = '\0';
        assert_int_equal(journal_socket_open(too_long, &journal), -ENAMETOOLONG);
        assert_int_equal(journal_socket_open("/nonexistent/socket", &journal), 0);
        journal_field(&entry, "MESSAGE", "x");
        assert_false(journal_socket_send(&journal, &entry));
        entry.failed = true;
        assert_false(journal_socket_send(&journal, &entry));
        assert_int_equal(journal.n_lost, 2);
        journal_socket_deinit(&journal);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_value_of_several_lines_makes_no_field),
                cmocka_unit_test(test_what_a_full_journal_does_not_take_is_counted),
                cmocka_unit_test(test_without_a_journal_nothing_is_taken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
