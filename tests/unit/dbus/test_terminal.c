/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pty.h>
#include <unistd.h>

#include "dbus/client/terminal.h"

#define SEC USEC_PER_SEC

static void test_three_presses_within_a_second_are_the_escape(void **state) {
        EscapeKey key = {0};

        assert_false(escape_key_feed(&key, "\x1d", 1, 10 * SEC));
        assert_false(escape_key_feed(&key, "\x1d", 1, 10 * SEC + 400000));
        assert_true(escape_key_feed(&key, "\x1d", 1, 10 * SEC + 900000));
}

static void test_presses_in_one_read_count_too(void **state) {
        EscapeKey key = {0};

        assert_true(escape_key_feed(&key, "ab\x1d\x1d\x1d", 5, SEC));
}

static void test_another_key_between_starts_again(void **state) {
        EscapeKey key = {0};

        assert_false(escape_key_feed(&key, "\x1d\x1dq\x1d", 4, SEC));
        assert_false(escape_key_feed(&key, "\x1d", 1, SEC));
        assert_true(escape_key_feed(&key, "\x1d", 1, SEC));
}

static void test_slow_presses_are_the_guests(void **state) {
        EscapeKey key = {0};

        for (unsigned i = 0; i < 20; i++)
                assert_false(escape_key_feed(&key, "\x1d", 1, i * 600000));
}

static void test_a_terminal_is_put_back_as_it_was(void **state) {
        struct termios before = {0}, raw, after = {0};
        Terminal terminal;
        int leader, fd;

        assert_int_equal(openpty(&leader, &fd, NULL, NULL, NULL), 0);
        assert_int_equal(tcgetattr(fd, &before), 0);
        assert_true(before.c_lflag & ICANON);

        assert_int_equal(terminal_enter_raw(&terminal, fd), 0);
        assert_int_equal(tcgetattr(fd, &raw), 0);
        assert_false(raw.c_lflag & (ICANON | ECHO | ISIG));
        assert_int_equal(raw.c_oflag & (OPOST | ONLCR), before.c_oflag & (OPOST | ONLCR));

        terminal_leave_raw(&terminal);
        terminal_leave_raw(&terminal);
        assert_int_equal(tcgetattr(fd, &after), 0);
        assert_memory_equal(&before, &after, sizeof(before));
        close(fd);
        close(leader);
}

static void test_what_is_no_terminal_is_left_alone(void **state) {
        Terminal terminal;
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        assert_int_equal(terminal_enter_raw(&terminal, ends[0]), -ENOTTY);
        terminal_leave_raw(&terminal);
        close(ends[0]);
        close(ends[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_three_presses_within_a_second_are_the_escape),
                cmocka_unit_test(test_presses_in_one_read_count_too),
                cmocka_unit_test(test_another_key_between_starts_again),
                cmocka_unit_test(test_slow_presses_are_the_guests),
                cmocka_unit_test(test_a_terminal_is_put_back_as_it_was),
                cmocka_unit_test(test_what_is_no_terminal_is_left_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
