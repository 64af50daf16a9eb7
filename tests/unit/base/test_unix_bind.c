/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/unix_bind.h"

/* A directory with one name in it. */
typedef struct Place {
        char directory[32];
        struct sockaddr_un address;
} Place;

static int setup(void **state) {
        Place *place = calloc(1, sizeof(*place));

        assert_non_null(place);
        (void) snprintf(place->directory, sizeof(place->directory), "/tmp/unix-bind-XXXXXX");
        assert_non_null(mkdtemp(place->directory));
        place->address.sun_family = AF_UNIX;
        (void) snprintf(place->address.sun_path, sizeof(place->address.sun_path), "%s/name",
                        place->directory);
        *state = place;
        return 0;
}

static int teardown(void **state) {
        Place *place = *state;

        (void) unlink(place->address.sun_path);
        (void) rmdir(place->directory);
        free(place);
        return 0;
}

static int new_socket(int type) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        return fd;
}

static void test_a_socket_that_nobody_listens_at_is_replaced(void **state) {
        const Place *place = *state;
        const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(fd_closep) int first = new_socket(types[i]);
                _cleanup_(fd_closep) int second = new_socket(types[i]);

                assert_int_equal(unix_bind(first, &place->address), 0);
                assert_int_equal(listen(first, 1), 0);
                first = fd_close(first);
                assert_int_equal(unix_bind(second, &place->address), 0);
                assert_int_equal(listen(second, 1), 0);
        }
}

static void test_a_socket_in_use_stays(void **state) {
        const Place *place = *state;
        _cleanup_(fd_closep) int first = new_socket(SOCK_STREAM);
        _cleanup_(fd_closep) int second = new_socket(SOCK_STREAM);
        _cleanup_(fd_closep) int client = new_socket(SOCK_STREAM);

        assert_int_equal(unix_bind(first, &place->address), 0);
        assert_int_equal(listen(first, 1), 0);
        assert_int_equal(unix_bind(second, &place->address), -EADDRINUSE);
        assert_int_equal(
                connect(client, (const struct sockaddr *) &place->address, sizeof(place->address)),
                0);
}

static void test_a_file_that_is_no_socket_stays(void **state) {
        const Place *place = *state;
        _cleanup_(fd_closep) int fd = new_socket(SOCK_STREAM);
        _cleanup_(fd_closep) int file =
                open(place->address.sun_path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        struct stat st;

        assert_true(file >= 0);
        assert_int_equal(fd_write_all(file, "precious", 8), 0);
        assert_int_equal(unix_bind(fd, &place->address), -EADDRINUSE);
        assert_int_equal(stat(place->address.sun_path, &st), 0);
        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(st.st_size, 8);
}

static void test_what_a_link_leads_to_stays_and_so_does_the_link(void **state) {
        const Place *place = *state;
        _cleanup_(fd_closep) int fd = new_socket(SOCK_STREAM);
        struct stat st;

        assert_int_equal(symlink("/dev/null", place->address.sun_path), 0);
        assert_int_equal(unix_bind(fd, &place->address), -EADDRINUSE);
        assert_int_equal(lstat(place->address.sun_path, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
}

static void test_a_directory_that_is_not_there_is_an_error(void **state) {
        const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/name"};
        _cleanup_(fd_closep) int fd = new_socket(SOCK_STREAM);

        assert_int_equal(unix_bind(fd, &address), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_socket_that_nobody_listens_at_is_replaced),
                TEST(test_a_socket_in_use_stays),
                TEST(test_a_file_that_is_no_socket_stays),
                TEST(test_what_a_link_leads_to_stays_and_so_does_the_link),
                cmocka_unit_test(test_a_directory_that_is_not_there_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
