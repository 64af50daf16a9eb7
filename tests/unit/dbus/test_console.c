/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "dbus/client/console.h"
#include "dbus/client/verbs.h"

/* What a console told its owner. */
typedef struct Told {
        sd_event *event;
        unsigned escaped, closed, drained;
} Told;

static void on_escaped(void *userdata) {
        ((Told *) userdata)->escaped++;
}

static void on_closed(void *userdata) {
        ((Told *) userdata)->closed++;
}

static void on_drained(void *userdata) {
        Told *told = userdata;

        told->drained++;
        assert_true(sd_event_exit(told->event, 0) >= 0);
}

/* A console whose guest end is @guest and that writes to @output; sized so that the two pipes are small. */
static void begin(Console *console, Told *told, int output, int *ret_guest) {
        const ConsoleEvents events = {.escaped = on_escaped,
                                      .output_closed = on_closed,
                                      .drained = on_drained,
                                      .userdata = told};
        int ends[2];

        *told = (Told){0};
        assert_true(sd_event_new(&told->event) >= 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(fd_set_nonblock(ends[0], true), 0);
        console_init(console);
        console->from_guest = ends[0];
        console->output = output;
        assert_int_equal(console_attach(console, told->event, &events, NULL), 0);
        *ret_guest = ends[1];
}

static void end(Console *console, Told *told) {
        console_deinit(console);
        (void) sd_event_unref(told->event);
}

/* Lets the loop do all that it can do without waiting. */
static void settle(Told *told) {
        while (sd_event_run(told->event, 0) > 0)
                ;
}

static void test_output_passes_and_the_end_of_it_is_told(void **state) {
        char path[] = "/tmp/vivctl-output-XXXXXX", text[16] = "";
        int file = mkstemp(path), guest;
        Console console;
        Told told;

        assert_true(file >= 0);
        begin(&console, &told, file, &guest);
        assert_int_equal(fd_write_all(guest, "one\ntwo", 7), 0);
        settle(&told);
        assert_true(console.mid_line);
        assert_int_equal(fd_write_all(guest, "\n", 1), 0);
        assert_int_equal(console_finish(&console), 0);
        assert_true(sd_event_loop(told.event) >= 0);
        assert_int_equal(told.drained, 1);
        assert_false(console.mid_line);
        assert_int_equal(pread(file, text, sizeof(text), 0), 8);
        assert_string_equal(text, "one\ntwo\n");
        end(&console, &told);
        close(guest);
        close(file);
        assert_int_equal(unlink(path), 0);
}

static void test_a_full_output_holds_the_guest_and_loses_nothing(void **state) {
        static char block[4096];
        size_t written = 0, got = 0;
        int out[2], guest;
        Console console;
        Told told;

        memset(block, 'x', sizeof(block));
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        begin(&console, &told, out[1], &guest);
        assert_int_equal(fd_set_nonblock(guest, true), 0);
        /* Until both pipes and the block between them are full; then a loop turn must have nothing to do. */
        for (bool moved = true; moved;) {
                ssize_t n = write(guest, block, sizeof(block));

                moved = n > 0;
                written += moved ? (size_t) n : 0;
                settle(&told);
        }
        assert_true(written > (size_t) fcntl(out[1], F_GETPIPE_SZ));
        assert_int_equal(sd_event_run(told.event, 0), 0);

        /* The guest dies; all of it comes once somebody reads. */
        close(guest);
        assert_int_equal(console_finish(&console), 0);
        settle(&told);
        assert_int_equal(told.drained, 0);
        while (told.drained == 0) {
                ssize_t n = read(out[0], block, sizeof(block));

                assert_true(n > 0);
                got += (size_t) n;
                while (told.drained == 0 && sd_event_run(told.event, 0) > 0)
                        ;
        }
        assert_int_equal(fd_set_nonblock(out[0], true), 0);
        for (ssize_t n; (n = read(out[0], block, sizeof(block))) > 0;)
                got += (size_t) n;
        assert_int_equal(got, written);
        end(&console, &told);
        close(out[0]);
        close(out[1]);
}

static void test_an_output_that_nobody_reads_is_told_once(void **state) {
        void (*before)(int) = signal(SIGPIPE, SIG_IGN);
        int out[2], guest;
        Console console;
        Told told;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        begin(&console, &told, out[1], &guest);
        close(out[0]);
        assert_int_equal(fd_write_all(guest, "a", 1), 0);
        settle(&told);
        assert_int_equal(fd_write_all(guest, "b", 1), 0);
        settle(&told);
        assert_int_equal(told.closed, 1);
        assert_int_equal(console_finish(&console), 0);
        assert_int_equal(told.drained, 1);
        end(&console, &told);
        close(guest);
        close(out[1]);
        (void) signal(SIGPIPE, before);
}

static void test_without_a_console_there_is_nothing_to_drain(void **state) {
        Told told = {0};
        const ConsoleEvents events = {.escaped = on_escaped,
                                      .output_closed = on_closed,
                                      .drained = on_drained,
                                      .userdata = &told};
        Console console;

        assert_true(sd_event_new(&told.event) >= 0);
        console_init(&console);
        assert_int_equal(console_attach(&console, told.event, &events, NULL), 0);
        assert_int_equal(console_finish(&console), 0);
        assert_int_equal(console_finish(&console), 0);
        assert_int_equal(told.drained, 1);
        end(&console, &told);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_output_passes_and_the_end_of_it_is_told),
                cmocka_unit_test(test_a_full_output_holds_the_guest_and_loses_nothing),
                cmocka_unit_test(test_an_output_that_nobody_reads_is_told_once),
                cmocka_unit_test(test_without_a_console_there_is_nothing_to_drain),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
