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
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/chardev/input.h"

/* A frontend with little room, which a test may give more. */
typedef struct Fixture {
        Loop *loop;
        CharInput input;
        size_t room, n;
        char text[4096];
} Fixture;

static size_t take(void *frontend, const uint8_t *data, size_t len) {
        Fixture *f = frontend;
        size_t n = MIN(len, f->room);

        n = MIN(n, sizeof(f->text) - 1 - f->n);
        memcpy(f->text + f->n, data, n);
        f->n += n;
        f->room -= n;
        return n;
}

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){.room = SIZE_MAX};
        assert_int_equal(loop_new(&f.loop), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        char_input_deinit(&f->input);
        loop_free(f->loop);
        return 0;
}

static void start(Fixture *f, int fd) {
        assert_int_equal(char_input_init_consume(&f->input, f->loop, fd), 0);
        char_input_set_handler(&f->input, &(CharHandler){.receive = take, .frontend = f});
}

static void stop_loop(void *userdata) {
        loop_exit(userdata);
}

/* Lets the loop do all that it can do now. */
static void turn(Fixture *f) {
        for (unsigned i = 0; i < 8; i++) {
                LoopSource *timer;

                assert_int_equal(loop_add_timer(f->loop, stop_loop, f->loop, &timer), 0);
                assert_int_equal(loop_set_timer(timer, 1), 0);
                assert_int_equal(loop_run(f->loop), 0);
                loop_remove(timer);
        }
}

static void test_input_is_passed_on_as_it_comes(void **state) {
        Fixture *f = *state;
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        start(f, p[0]);
        turn(f);
        assert_int_equal(f->n, 0);
        assert_int_equal(fd_write_all(p[1], "one", 3), 0);
        turn(f);
        assert_int_equal(fd_write_all(p[1], "two", 3), 0);
        turn(f);
        assert_string_equal(f->text, "onetwo");
        fd_close(p[1]);
        turn(f);
        assert_true(f->input.ended);
}

static void test_what_the_frontend_leaves_waits_for_it(void **state) {
        Fixture *f = *state;
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        f->room = 4;
        start(f, p[0]);
        assert_int_equal(fd_write_all(p[1], "abcdefghij", 10), 0);
        fd_close(p[1]);
        turn(f);
        assert_string_equal(f->text, "abcd");
        f->room = 3;
        char_input_resume(&f->input);
        turn(f);
        assert_string_equal(f->text, "abcdefg");
        f->room = 100;
        char_input_resume(&f->input);
        turn(f);
        assert_string_equal(f->text, "abcdefghij");
        assert_true(f->input.ended);
}

static void test_a_stalled_frontend_does_not_make_the_loop_spin(void **state) {
        Fixture *f = *state;
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        f->room = 1;
        start(f, p[0]);
        assert_int_equal(fd_write_all(p[1], "ab", 2), 0);
        fd_close(p[1]); /* hung up: would be reported again and again */
        turn(f);
        assert_int_equal(f->n, 1);
        /* Nothing is due now but our own timer. */
        turn(f);
        assert_int_equal(f->n, 1);
}

static void test_regular_files_are_read_to_their_end(void **state) {
        Fixture *f = *state;
        char text[1500];
        int fd = memfd_create("input", MFD_CLOEXEC);

        memset(text, 'x', sizeof(text));
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, sizeof(text)), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        start(f, fd);
        turn(f);
        assert_int_equal(f->n, sizeof(text));
        assert_true(f->input.ended);
}

static void test_sockets_are_read_and_end(void **state) {
        Fixture *f = *state;
        int s[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
        start(f, s[0]);
        assert_int_equal(fd_write_all(s[1], "socket", 6), 0);
        turn(f);
        assert_string_equal(f->text, "socket");
        fd_close(s[1]);
        turn(f);
        assert_true(f->input.ended);
}

static void test_without_a_handler_input_is_discarded(void **state) {
        Fixture *f = *state;
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(char_input_init_consume(&f->input, f->loop, p[0]), 0);
        assert_int_equal(fd_write_all(p[1], "lost", 4), 0);
        fd_close(p[1]);
        turn(f);
        assert_true(f->input.ended);
}

static void test_a_terminal_is_raw_only_while_it_is_used(void **state) {
        Fixture *f = *state;
        struct termios before, now;
        int master, slave, kept;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
        kept = dup(slave);
        assert_int_equal(tcgetattr(kept, &before), 0);
        start(f, slave);
        assert_int_equal(tcgetattr(kept, &now), 0);
        assert_int_equal(now.c_lflag & (ICANON | ECHO | ISIG), 0);
        assert_int_equal(now.c_oflag, before.c_oflag);
        assert_int_equal(fd_write_all(master, "\003\r", 2), 0);
        turn(f);
        assert_memory_equal(f->text, "\003\r", 2);
        char_input_deinit(&f->input);
        assert_int_equal(tcgetattr(kept, &now), 0);
        assert_int_equal(now.c_lflag, before.c_lflag);
        assert_int_equal(now.c_iflag, before.c_iflag);
        fd_close(kept);
        fd_close(master);
        f->input = (CharInput){.host = HOST_FD_NONE};
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_input_is_passed_on_as_it_comes, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_the_frontend_leaves_waits_for_it, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_stalled_frontend_does_not_make_the_loop_spin,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_regular_files_are_read_to_their_end, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_sockets_are_read_and_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_a_handler_input_is_discarded, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_terminal_is_raw_only_while_it_is_used, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
