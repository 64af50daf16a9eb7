/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/unix_socket.h"

static char dir[] = "/tmp/test_unix_socket.XXXXXX";

static int setup(void **state) {
        return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
        return rmdir(dir);
}

/* Binds NAME in the directory @directory, whose path may be too long for an address. */
static int bound_in(int directory, const char *name) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                        directory, name);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void test_a_socket_that_does_not_come_is_an_error_in_time(void **state) {
        char path[64];

        (void) snprintf(path, sizeof(path), "%s/none", dir);
        assert_int_equal(unix_socket_connect(path, SOCK_STREAM, 0), -ENOENT);
        assert_int_equal(unix_socket_connect(path, SOCK_STREAM, 3000000), -ENOENT);
}

static void test_a_path_longer_than_an_address_is_reached(void **state) {
        char parent[160], path[176];
        int directory, fd, peer;

        (void) snprintf(parent, sizeof(parent), "%s/%0120d", dir, 0);
        assert_int_equal(mkdir(parent, 0700), 0);
        (void) snprintf(path, sizeof(path), "%s/socket", parent);
        directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        peer = bound_in(directory, "socket");
        fd = unix_socket_connect(path, SOCK_DGRAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        (void) snprintf(path, sizeof(path), "%0150d", 0);
        assert_int_equal(unix_socket_connect(path, SOCK_DGRAM, 0), -ENAMETOOLONG);
        assert_int_equal(unlinkat(directory, "socket", 0), 0);
        assert_int_equal(rmdir(parent), 0);
        fd_close(fd);
        fd_close(peer);
        fd_close(directory);
}

static void *bind_later(void *userdata) {
        int directory = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int fd = bound_in(directory, "later");

        fd_close(directory);
        return (void *) (intptr_t) fd;
}

static void test_a_socket_that_comes_later_is_waited_for(void **state) {
        char path[64];
        pthread_t thread;
        void *peer;
        int fd;

        (void) snprintf(path, sizeof(path), "%s/later", dir);
        assert_int_equal(pthread_create(&thread, NULL, bind_later, NULL), 0);
        fd = unix_socket_connect(path, SOCK_DGRAM, UNIX_SOCKET_WAIT_FOREVER);
        assert_true(fd >= 0);
        assert_int_equal(pthread_join(thread, &peer), 0);
        assert_int_equal(unlink(path), 0);
        fd_close(fd);
        fd_close((int) (intptr_t) peer);
}

static void test_who_waits_for_ever_is_ended_by_a_blocked_signal(void **state) {
        sigset_t set, old;
        char path[64];
        int number;

        (void) snprintf(path, sizeof(path), "%s/never", dir);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
        assert_int_equal(raise(SIGTERM), 0);
        assert_int_equal(unix_socket_connect(path, SOCK_DGRAM, UNIX_SOCKET_WAIT_FOREVER), -EINTR);
        assert_int_equal(sigwait(&set, &number), 0);
        assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_socket_that_does_not_come_is_an_error_in_time),
                cmocka_unit_test(test_a_path_longer_than_an_address_is_reached),
                cmocka_unit_test(test_a_socket_that_comes_later_is_waited_for),
                cmocka_unit_test(test_who_waits_for_ever_is_ended_by_a_blocked_signal),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
