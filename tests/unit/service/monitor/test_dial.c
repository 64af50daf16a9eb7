/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "service/monitor/dial.h"
#include "service/monitor/vsock_host.h"

#define SOON (50 * USEC_PER_MSEC)
#define LATE (60 * USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        int ours, theirs;
        bool done;
        int r;
        char got[8];
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        int fds[2];

        assert_non_null(f);
        assert_true(sd_event_new(&f->event) >= 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        f->ours = fds[0];
        f->theirs = fds[1];
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        sd_event_unref(f->event);
        fd_close(f->theirs);
        free(f);
        return 0;
}

/* What comes after the line of the VMM's is the client's. */
static void done(void *userdata, int r, int fd) {
        Fixture *f = userdata;

        f->done = true;
        f->r = r;
        if (r == 0)
                assert_true(recv(fd, f->got, sizeof(f->got) - 1, MSG_DONTWAIT) >= 0 ||
                            errno == EAGAIN);
}

static void run(Fixture *f) {
        while (!f->done)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void answer(Fixture *f, const char *text) {
        assert_int_equal(write(f->theirs, text, strlen(text)), strlen(text));
}

static void test_the_vmm_is_asked_and_what_follows_its_line_is_the_clients(void **state) {
        Fixture *f = *state;
        char asked[32] = {0};
        Dial *dial = NULL;

        assert_int_equal(dial_new(f->event, f->ours, 6000, LATE, done, f, &dial), 0);
        assert_true(read(f->theirs, asked, sizeof(asked) - 1) > 0);
        assert_string_equal(asked, "CONNECT 6000\n");
        answer(f, "OK 1024\nhello");
        run(f);
        assert_int_equal(f->r, 0);
        assert_string_equal(f->got, "hello");
}

static void test_other_words_of_the_vmms_are_an_error(void **state) {
        Fixture *f = *state;
        Dial *dial = NULL;

        assert_int_equal(dial_new(f->event, f->ours, 6000, LATE, done, f, &dial), 0);
        answer(f, "OK what\n");
        run(f);
        assert_int_equal(f->r, -EBADMSG);
}

static void test_a_vmm_that_hangs_up_refuses(void **state) {
        Fixture *f = *state;
        Dial *dial = NULL;

        assert_int_equal(dial_new(f->event, f->ours, 6000, LATE, done, f, &dial), 0);
        f->theirs = fd_close(f->theirs);
        run(f);
        assert_int_equal(f->r, -ECONNREFUSED);
}

static void test_a_vmm_that_is_silent_runs_out_of_time(void **state) {
        Fixture *f = *state;
        Dial *dial = NULL;

        assert_int_equal(dial_new(f->event, f->ours, 6000, SOON, done, f, &dial), 0);
        run(f);
        assert_int_equal(f->r, -ETIMEDOUT);
}

static void test_a_socket_that_the_kernel_connects_is_the_clients_as_it_is(void **state) {
        Fixture *f = *state;
        Dial *dial = NULL;

        answer(f, "OK");
        assert_int_equal(dial_new_connecting(f->event, f->ours, LATE, done, f, &dial), 0);
        run(f);
        assert_int_equal(f->r, 0);
        assert_string_equal(f->got, "OK");
}

static void test_a_socket_that_does_not_connect_runs_out_of_time(void **state) {
        Fixture *f = *state;
        char noise[4096] = {0};
        Dial *dial = NULL;

        while (write(f->ours, noise, sizeof(noise)) > 0) /* not writable, as while connecting */
                ;
        assert_int_equal(dial_new_connecting(f->event, f->ours, SOON, done, f, &dial), 0);
        run(f);
        assert_int_equal(f->r, -ETIMEDOUT);
}

static void test_only_a_guest_is_from_a_guest(void **state) {
        Fixture *f = *state;

        assert_false(vsock_host_is_from(f->theirs, 2048));
        assert_false(vsock_host_is_from(-1, 2048));
        fd_close(f->ours);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_the_vmm_is_asked_and_what_follows_its_line_is_the_clients),
                TEST(test_other_words_of_the_vmms_are_an_error),
                TEST(test_a_vmm_that_hangs_up_refuses),
                TEST(test_a_vmm_that_is_silent_runs_out_of_time),
                TEST(test_a_socket_that_the_kernel_connects_is_the_clients_as_it_is),
                TEST(test_a_socket_that_does_not_connect_runs_out_of_time),
                TEST(test_only_a_guest_is_from_a_guest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
