/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "vmm/chardev/host_fd.h"

static bool is_nonblock(int fd) {
        return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static ssize_t write_text(HostFd *host, const char *text) {
        char copy[64];
        struct iovec iov = {.iov_base = copy, .iov_len = strlen(text)};

        memcpy(copy, text, strlen(text));
        return host_fd_writev(host, &iov, 1);
}

static void test_a_shared_pipe_is_not_made_nonblocking_for_its_giver(void **state) {
        HostFd host = HOST_FD_NONE;
        int p[2], shared;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        shared = dup(p[1]);
        assert_int_equal(host_fd_init_consume(&host, p[1], O_WRONLY), 0);
        assert_true(is_nonblock(host.fd));
        assert_false(is_nonblock(shared));
        assert_int_equal(write_text(&host, "x"), 1);
        host_fd_deinit(&host);
        assert_int_equal(host.fd, -EBADF);
        fd_close(shared);
        fd_close(p[0]);
}

static void test_a_full_pipe_says_so_instead_of_waiting(void **state) {
        HostFd host = HOST_FD_NONE;
        int p[2];
        ssize_t n;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(host_fd_init_consume(&host, p[1], O_WRONLY), 0);
        do
                n = write_text(&host, "0123456789");
        while (n > 0);
        assert_int_equal(n, -EAGAIN);
        host_fd_deinit(&host);
        fd_close(p[0]);
}

static void test_an_empty_pipe_says_so_instead_of_waiting(void **state) {
        HostFd host = HOST_FD_NONE;
        int p[2];
        char byte;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(host_fd_init_consume(&host, p[0], O_RDONLY), 0);
        assert_int_equal(host_fd_read(&host, &byte, 1), -EAGAIN);
        fd_close(p[1]);
        assert_int_equal(host_fd_read(&host, &byte, 1), 0);
        host_fd_deinit(&host);
}

static void test_sockets_keep_their_flags_and_do_not_wait(void **state) {
        HostFd host = HOST_FD_NONE;
        int s[2];
        char byte;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
        assert_int_equal(host_fd_init_consume(&host, s[0], O_WRONLY), 0);
        assert_false(is_nonblock(host.fd));
        assert_int_equal(host_fd_read(&host, &byte, 1), -EAGAIN);
        assert_int_equal(write_text(&host, "x"), 1);
        assert_int_equal(read(s[1], &byte, 1), 1);
        fd_close(s[1]);
        assert_int_equal(write_text(&host, "x"), -EPIPE); /* and no signal */
        host_fd_deinit(&host);
}

static void test_a_terminal_masters_flags_are_put_back(void **state) {
        HostFd host = HOST_FD_NONE;
        int master, slave, shared;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        shared = dup(master);
        assert_int_equal(host_fd_init_consume(&host, master, O_WRONLY), 0);
        assert_int_equal(host.fd, master); /* another open would be another terminal */
        assert_true(is_nonblock(shared));
        host_fd_deinit(&host);
        assert_false(is_nonblock(shared));
        fd_close(shared);
        fd_close(slave);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_shared_pipe_is_not_made_nonblocking_for_its_giver),
                cmocka_unit_test(test_a_full_pipe_says_so_instead_of_waiting),
                cmocka_unit_test(test_an_empty_pipe_says_so_instead_of_waiting),
                cmocka_unit_test(test_sockets_keep_their_flags_and_do_not_wait),
                cmocka_unit_test(test_a_terminal_masters_flags_are_put_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
