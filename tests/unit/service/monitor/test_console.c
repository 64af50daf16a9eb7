/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"
#include "service/monitor/console.h"

/* A console with the guest's ends of its pipes. */
typedef struct Fixture {
        sd_event *event;
        Console *console;
        int guest_out, guest_in, file;
        RateLimit lines;
        StrBuf told;
} Fixture;

static bool take_line(void *userdata, LineKind kind, const char *line) {
        Fixture *f = userdata;

        strbuf_printf(&f->told, "%s|", line);
        return true;
}

static ConsoleSpec spec_of(Fixture *f) {
        return (ConsoleSpec){
                .file = f->file, .line = take_line, .shared = &f->lines, .userdata = f};
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        ConsoleSpec spec;

        assert_non_null(f);
        f->lines = (RateLimit){.interval_usec = LINE_LOG_WINDOW_USEC, .burst = 100000};
        f->file = memfd_create("console", MFD_CLOEXEC);
        assert_true(f->file >= 0);
        assert_true(sd_event_new(&f->event) >= 0);
        spec = spec_of(f);
        assert_int_equal(console_new(f->event, &spec, &f->console, &f->guest_out), 0);
        assert_int_equal(console_make_keys(f->console, &f->guest_in), 0);
        assert_int_equal(fd_set_nonblock(f->guest_in, true), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) console_free(f->console);
        (void) fd_close(f->guest_out);
        (void) fd_close(f->guest_in);
        (void) fd_close(f->file);
        strbuf_deinit(&f->told);
        sd_event_unref(f->event);
        free(f);
        return 0;
}

static void settle(Fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static void say(Fixture *f, const char *text) {
        assert_int_equal(fd_write_all(f->guest_out, text, strlen(text)), 0);
        settle(f);
}

/* What is in a viewer's socket, and whether its end too. */
static char *seen(int fd, bool *ret_end) {
        StrBuf buf = {0};
        char chunk[4096], *text = NULL;
        ssize_t n;

        while ((n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
                strbuf_append_bytes(&buf, chunk, (size_t) n);
        if (ret_end)
                *ret_end = n == 0;
        assert_true(n == 0 || errno == EAGAIN);
        assert_int_equal(strbuf_finish(&buf, &text), 0);
        return text;
}

static void assert_seen(int fd, const char *expected) {
        _cleanup_(freep) char *text = seen(fd, NULL);

        assert_string_equal(text, expected);
}

static void test_each_viewer_sees_what_was_before_and_what_follows(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int first = -EBADF, second = -EBADF;

        say(f, "before\n");
        assert_int_equal(console_view(f->console, &first), 0);
        assert_seen(first, "before\n"); /* it is there when the call returns */
        say(f, "between\n");
        assert_int_equal(console_view(f->console, &second), 0);
        say(f, "after\n");
        assert_seen(first, "between\nafter\n");
        assert_seen(second, "before\nbetween\nafter\n");
        assert_string_equal(f->told.data, "before|between|after|");
}

static void test_last_words_are_seen_before_the_end(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int viewer = -EBADF;
        _cleanup_(freep) char *text = NULL, *tail = NULL;
        size_t len;
        bool end;

        assert_int_equal(console_view(f->console, &viewer), 0);
        assert_int_equal(fd_write_all(f->guest_out, "last words", 10), 0);
        console_finish(f->console);
        text = seen(viewer, &end);
        assert_string_equal(text, "last words");
        assert_true(end);
        assert_string_equal(f->told.data, "last words|");
        assert_int_equal(console_copy_tail(f->console, 5, &tail, &len), 0);
        assert_string_equal(tail, "words");
}

static void
test_a_viewer_that_reads_nothing_delays_nobody_and_is_told_what_it_missed(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int slow = -EBADF, quick = -EBADF;
        _cleanup_(freep) char *text = NULL;
        static char page[4096];
        size_t n_quick = 0;

        memset(page, 'x', sizeof(page));
        assert_int_equal(console_view(f->console, &slow), 0);
        assert_int_equal(console_view(f->console, &quick), 0);
        for (unsigned i = 0; i < 512; i++) {
                _cleanup_(freep) char *part = NULL;

                /* The pipe never fills up: the guest could always write. */
                assert_int_equal(fd_write_all(f->guest_out, page, sizeof(page)), 0);
                settle(f);
                part = seen(quick, NULL);
                n_quick += strlen(part);
        }
        assert_int_equal(n_quick, 512 * sizeof(page));
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(freep) char *part = seen(slow, NULL);

                settle(f);
                if (i == 0)
                        assert_true(strlen(part) < n_quick / 4);
                else
                        text = TAKE(part);
        }
        assert_non_null(strstr(text, "\r\n["));
        assert_non_null(strstr(text, " bytes not shown]\r\nxxx"));
}

static void test_keys_of_all_viewers_reach_the_guest(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = -EBADF, b = -EBADF;
        char keys[16] = {0};

        assert_int_equal(console_view(f->console, &a), 0);
        assert_int_equal(console_view(f->console, &b), 0);
        assert_int_equal(send(a, "ab", 2, 0), 2);
        settle(f);
        assert_int_equal(send(b, "cd", 2, 0), 2);
        settle(f);
        assert_int_equal(read(f->guest_in, keys, sizeof(keys)), 4);
        assert_string_equal(keys, "abcd");
}

static void test_keys_wait_for_a_guest_that_reads_none_and_none_is_lost(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int viewer = -EBADF;
        size_t sent = 0, got = 0;
        static char page[4096];
        ssize_t n;

        assert_int_equal(console_view(f->console, &viewer), 0);
        memset(page, 'k', sizeof(page));
        while ((n = send(viewer, page, sizeof(page), MSG_DONTWAIT)) > 0) {
                sent += (size_t) n;
                settle(f); /* comes to rest: nothing is polled while there is no room */
        }
        assert_int_equal(errno, EAGAIN);
        assert_true(sent > 64 * 1024);
        say(f, "the guest is heard all the same\n");
        assert_seen(viewer, "the guest is heard all the same\n");
        while ((n = read(f->guest_in, page, sizeof(page))) > 0) {
                got += (size_t) n;
                settle(f);
        }
        assert_int_equal(got, sent);
}

static void test_a_viewer_that_gave_all_its_keys_still_sees(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int viewer = -EBADF;

        assert_int_equal(console_view(f->console, &viewer), 0);
        assert_int_equal(shutdown(viewer, SHUT_WR), 0);
        settle(f);
        say(f, "still\n");
        assert_seen(viewer, "still\n");
}

static void test_viewers_are_limited_and_make_room_when_they_go(void **state) {
        Fixture *f = *state;
        int viewers[CONSOLE_VIEWERS_MAX], one_more;

        for (unsigned i = 0; i < CONSOLE_VIEWERS_MAX; i++)
                assert_int_equal(console_view(f->console, &viewers[i]), 0);
        assert_int_equal(console_view(f->console, &one_more), -EUSERS);
        for (unsigned i = 0; i < CONSOLE_VIEWERS_MAX; i++)
                (void) fd_close(viewers[i]);
        settle(f);
        assert_int_equal(console_view(f->console, &one_more), 0);
        (void) fd_close(one_more);
}

static void test_a_guest_that_takes_no_keys_any_more_harms_nobody(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int viewer = -EBADF;

        assert_int_equal(console_view(f->console, &viewer), 0);
        f->guest_in = fd_close(f->guest_in);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(send(viewer, "k", 1, 0), 1);
                settle(f);
        }
        say(f, "fine\n");
        assert_seen(viewer, "fine\n");
        assert_int_equal(console_keys_fd(f->console), -EBADF);
}

static void test_nothing_can_be_written_to_a_stream_without_keys(void **state) {
        Fixture *f = *state;
        _cleanup_(console_freep) Console *log = NULL;
        _cleanup_(fd_closep) int viewer = -EBADF, guest = -EBADF;
        ConsoleSpec spec = spec_of(f);

        spec.file = -EBADF;
        assert_int_equal(console_new(f->event, &spec, &log, &guest), 0);
        assert_int_equal(console_view(log, &viewer), 0);
        assert_int_equal(send(viewer, "x", 1, MSG_NOSIGNAL), -1);
        assert_int_equal(errno, EPIPE);
        assert_int_equal(fd_write_all(guest, "seen\n", 5), 0);
        settle(f);
        assert_seen(viewer, "seen\n");
        viewer = fd_close(viewer);
        settle(f);
}

static void test_the_next_daemon_goes_on_in_the_middle_of_a_line(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int pipe_fd = -EBADF, viewer = -EBADF;
        ConsoleSpec spec = spec_of(f);

        say(f, "told\nhalf a ");
        pipe_fd = fd_dup_cloexec(console_fd(f->console));
        f->console = console_free(f->console);
        assert_int_equal(fd_write_all(f->guest_out, "line\n", 5), 0);
        assert_int_equal(console_attach(f->event, &spec, TAKE_FD(pipe_fd), &f->console), 0);
        settle(f);
        assert_string_equal(f->told.data, "told|half a line|");
        assert_int_equal(console_view(f->console, &viewer), 0);
        assert_seen(viewer, "told\nhalf a line\n");
}

static void test_an_old_console_does_not_tell_a_thing_twice(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int pipe_fd = -EBADF;
        static char line[3 * LINE_LOG_BYTES_MAX];
        ConsoleSpec spec = spec_of(f);
        size_t told;

        memset(line, 'x', sizeof(line) - 1);
        say(f, line);
        told = f->told.len;
        pipe_fd = fd_dup_cloexec(console_fd(f->console));
        f->console = console_free(f->console);
        assert_int_equal(console_attach(f->event, &spec, TAKE_FD(pipe_fd), &f->console), 0);
        say(f, "\n");
        assert_int_equal(f->told.len, told);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_viewer_sees_what_was_before_and_what_follows),
                TEST(test_last_words_are_seen_before_the_end),
                TEST(test_a_viewer_that_reads_nothing_delays_nobody_and_is_told_what_it_missed),
                TEST(test_keys_of_all_viewers_reach_the_guest),
                TEST(test_keys_wait_for_a_guest_that_reads_none_and_none_is_lost),
                TEST(test_a_viewer_that_gave_all_its_keys_still_sees),
                TEST(test_viewers_are_limited_and_make_room_when_they_go),
                TEST(test_a_guest_that_takes_no_keys_any_more_harms_nobody),
                TEST(test_nothing_can_be_written_to_a_stream_without_keys),
                TEST(test_the_next_daemon_goes_on_in_the_middle_of_a_line),
                TEST(test_an_old_console_does_not_tell_a_thing_twice),
        };

        (void) signal(SIGPIPE, SIG_IGN); /* as the daemon does */
        return cmocka_run_group_tests(tests, NULL, NULL);
}
