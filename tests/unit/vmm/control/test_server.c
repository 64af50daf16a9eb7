/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vmm/control/server.h"

#define TURNS 64

typedef struct Fixture {
        char dir[32], path[64];
        Loop *loop;
        ControlServer *server;
        TextError error;
        ControlCall *held[CONTROL_CALLS_MAX * 2];
        unsigned n_held, n_seen;
        int taken_fd;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        log_set_level(LOG_LEVEL_ERROR);
        f->taken_fd = -EBADF;
        strcpy(f->dir, "/tmp/vivarium-control-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        (void) snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(control_server_new(f->loop, &f->server), 0);
        assert_int_equal(control_server_listen(f->server, f->path, &f->error), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) control_server_free(f->server);
        (void) loop_free(f->loop);
        (void) fd_close(f->taken_fd);
        (void) unlink(f->path);
        assert_int_equal(rmdir(f->dir), 0);
        text_error_deinit(&f->error);
        free(f);
        return 0;
}

/* Handles all that is there to be handled. */
static void turn(Fixture *f) {
        for (unsigned i = 0; i < TURNS; i++) {
                loop_exit(f->loop);
                assert_int_equal(loop_run(f->loop), 0);
        }
}

static int client(Fixture *f) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, f->path, sizeof(f->path));
        assert_int_equal(connect(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        turn(f);
        return fd;
}

static void say(int fd, const char *json) {
        assert_int_equal(send(fd, json, strlen(json), MSG_DONTWAIT | MSG_NOSIGNAL), strlen(json));
}

static void hear(int fd, const char *json) {
        char buf[4096];
        ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

        if (n < 0)
                fail_msg("no answer, but \"%s\" was expected: %s", json, strerror(errno));
        buf[n] = '\0';
        if (!strstr(buf, json))
                fail_msg("expected \"%s\", not \"%s\"", json, buf);
}

static void hear_nothing(int fd) {
        char byte;

        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
        assert_int_equal(errno, EAGAIN);
}

static void hear_end(int fd) {
        char byte;

        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static unsigned count_fds(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void answer_ok(void *userdata, ControlCall *call) {
        Fixture *f = userdata;

        f->n_seen++;
        control_call_ok(call);
}

static void hold(void *userdata, ControlCall *call) {
        Fixture *f = userdata;

        f->held[f->n_held++] = call;
}

static void take(void *userdata, ControlCall *call) {
        Fixture *f = userdata;

        f->taken_fd = control_call_take_fd(call);
        assert_int_equal(control_call_take_fd(call), -ENOENT);
        control_call_ok(call);
}

static void test_requests_reach_their_handler_and_answers_their_client(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = client(f), b = client(f);

        control_server_handle(f->server, CONTROL_STATE, answer_ok, f);
        say(a, "\"State\"");
        say(a, "\"State\"");
        say(b, "\"Stats\"");
        turn(f);
        assert_int_equal(f->n_seen, 2);
        hear(a, "\"Ok\"");
        hear(a, "\"Ok\"");
        hear_nothing(a);
        hear(b, "Stats: this machine has no device for it");
        say(b, "{\"UsbCommand\":\"ListDevice\"}");
        say(b, "\"Quit\"");
        turn(f);
        hear(b, "UsbCommand: not supported by this VMM");
        hear(b, "unknown request");
}

static void test_answers_may_come_later_in_any_order_or_too_late(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = client(f), b = client(f);

        control_server_handle(f->server, CONTROL_BALLOON_STATS, hold, f);
        control_server_handle(f->server, CONTROL_STATE, answer_ok, f);
        say(a, "{\"BalloonCommand\":\"Stats\"}");
        say(a, "\"State\"");
        say(b, "{\"BalloonCommand\":\"Stats\"}");
        turn(f);
        hear(a, "\"Ok\"");
        hear_nothing(a);
        assert_int_equal(f->n_held, 2);
        b = fd_close(b);
        turn(f);
        control_call_fail(f->held[1], "nobody hears it");
        control_call_fail(f->held[0], "heard %d", 5);
        hear(a, "Stats: heard 5");
}

static void test_a_client_with_too_many_requests_is_not_read_until_one_is_answered(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = client(f), b = client(f);

        control_server_handle(f->server, CONTROL_STATE, hold, f);
        control_server_handle(f->server, CONTROL_STATS, answer_ok, f);
        for (unsigned i = 0; i < CONTROL_CALLS_MAX + 1; i++)
                say(a, "\"State\"");
        say(b, "\"Stats\"");
        turn(f);
        assert_int_equal(f->n_held, CONTROL_CALLS_MAX);
        hear(b, "\"Ok\""); /* others are served */
        control_call_ok(f->held[0]);
        turn(f);
        assert_int_equal(f->n_held, CONTROL_CALLS_MAX + 1);
}

static void test_calls_left_at_the_end_are_released(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = client(f);

        control_server_handle(f->server, CONTROL_STATE, hold, f);
        say(a, "\"State\"");
        turn(f);
        assert_int_equal(f->n_held, 1);
        f->server = control_server_free(f->server);
        hear_end(a);
}

static void test_a_client_that_does_not_read_is_dropped_alone(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int slow = client(f), b = client(f);
        unsigned sent = 0;

        control_server_handle(f->server, CONTROL_STATE, answer_ok, f);
        while (send(slow, "\"State\"", 7, MSG_DONTWAIT | MSG_NOSIGNAL) == 7 && sent < 100000) {
                sent++;
                turn(f);
        }
        assert_in_range(sent, 1, 99999);
        say(b, "\"State\"");
        turn(f);
        hear(b, "\"Ok\"");
}

static void test_the_most_silent_client_makes_room_for_a_new_one(void **state) {
        Fixture *f = *state;
        int fds[CONTROL_CLIENTS_MAX + 1];

        control_server_handle(f->server, CONTROL_STATE, answer_ok, f);
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
                fds[i] = client(f);
        say(fds[0], "\"State\""); /* not silent any more */
        turn(f);
        fds[CONTROL_CLIENTS_MAX] = client(f);
        hear_end(fds[1]);
        say(fds[0], "\"State\"");
        say(fds[CONTROL_CLIENTS_MAX], "\"State\"");
        turn(f);
        hear(fds[0], "\"Ok\"");
        hear(fds[CONTROL_CLIENTS_MAX], "\"Ok\"");
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX + 1; i++)
                (void) fd_close(fds[i]);
}

static void send_fds(int to, const char *json, int fd, unsigned n) {
        union {
                char bytes[CMSG_SPACE(253 * sizeof(int))];
                struct cmsghdr align;
        } control = {0};
        struct iovec iov = {.iov_base = strdup(json), .iov_len = strlen(json)};
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(n * sizeof(int)),
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        for (unsigned i = 0; i < n; i++)
                memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
        assert_true(sendmsg(to, &message, MSG_NOSIGNAL) >= 0);
        free(iov.iov_base);
}

static void test_descriptors_are_cloexec_and_closed_unless_taken(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = client(f);
        unsigned before;

        control_server_handle(f->server, CONTROL_GPE, take, f);
        before = count_fds();
        send_fds(a, "{\"Gpe\":{\"gpe\":1,\"clear_evt\":1}}", STDERR_FILENO, 3);
        turn(f);
        hear(a, "\"Ok\"");
        assert_true(f->taken_fd >= 0);
        assert_int_equal(fcntl(f->taken_fd, F_GETFD), FD_CLOEXEC);
        assert_int_equal(count_fds(), before + 1);

        send_fds(a, "{\"Gpe\":{\"gpe\":1,\"clear_evt\":3}}", STDERR_FILENO, 3);
        send_fds(a, "\"Nonsense", STDERR_FILENO, 32);
        send_fds(a, "\"State\"", STDERR_FILENO, 33);
        send_fds(a, "\"State\"", STDERR_FILENO, 253);
        turn(f);
        hear(a, "names descriptor 3, but 3 came");
        hear(a, "not closed");
        hear(a, "more than 32 descriptors");
        hear(a, "more than 32 descriptors");
        assert_int_equal(count_fds(), before + 1);
}

static void test_messages_are_bounded(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = client(f);
        _cleanup_(freep) char *large = malloc(CONTROL_MESSAGE_MAX + 2);

        assert_non_null(large);
        memset(large, ' ', CONTROL_MESSAGE_MAX + 1);
        large[CONTROL_MESSAGE_MAX + 1] = '\0';
        say(a, large);
        assert_int_equal(send(a, "\"Sta\0te\"", 8, 0), 8);
        turn(f);
        hear(a, "longer than");
        hear(a, "zero byte");
        assert_int_equal(send(a, "", 0, 0), 0); /* the end of the connection, for a reader */
        turn(f);
        hear_end(a);
}

static void test_a_socket_that_nobody_serves_is_replaced_and_a_served_one_is_not(void **state) {
        Fixture *f = *state;
        _cleanup_(control_server_freep) ControlServer *second = NULL;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct stat st;
        int fd;

        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(control_server_new(f->loop, &second), 0);
        assert_int_equal(control_server_listen(second, f->path, &f->error), -EADDRINUSE);
        f->server = control_server_free(f->server);
        assert_int_equal(stat(f->path, &st), -1); /* ours is removed with the server */

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        memcpy(address.sun_path, f->path, sizeof(f->path));
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        (void) fd_close(fd);
        assert_int_equal(control_server_listen(second, f->path, &f->error), 0);
}

static void test_a_directory_gets_a_socket_and_a_descriptor_must_listen(void **state) {
        Fixture *f = *state;
        _cleanup_(control_server_freep) ControlServer *in_dir = NULL, *by_fd = NULL;
        char expected[96], name[64];
        struct stat st;
        int fd;

        assert_int_equal(control_server_new(f->loop, &in_dir), 0);
        assert_int_equal(control_server_listen(in_dir, f->dir, &f->error), 0);
        (void) snprintf(expected, sizeof(expected), "%s/crosvm-%d.sock", f->dir, (int) getpid());
        assert_int_equal(stat(expected, &st), 0);

        assert_int_equal(control_server_new(f->loop, &by_fd), 0);
        fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        assert_int_equal(control_server_listen(by_fd, name, &f->error), -EINVAL);
        assert_non_null(strstr(f->error.message, "no listening socket"));
        (void) fd_close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_requests_reach_their_handler_and_answers_their_client),
                TEST(test_answers_may_come_later_in_any_order_or_too_late),
                TEST(test_a_client_with_too_many_requests_is_not_read_until_one_is_answered),
                TEST(test_calls_left_at_the_end_are_released),
                TEST(test_a_client_that_does_not_read_is_dropped_alone),
                TEST(test_the_most_silent_client_makes_room_for_a_new_one),
                TEST(test_descriptors_are_cloexec_and_closed_unless_taken),
                TEST(test_messages_are_bounded),
                TEST(test_a_socket_that_nobody_serves_is_replaced_and_a_served_one_is_not),
                TEST(test_a_directory_gets_a_socket_and_a_descriptor_must_listen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
