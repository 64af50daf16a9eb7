/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "vmm/chardev/char.h"
#include "vmm/chardev/output.h"

typedef struct Fixture {
        Loop *loop;
        CharOutput output;
        int reader;
        size_t n_read, n_wanted;
        uint8_t last;
} Fixture;

static int setup(void **state) {
        static Fixture f;
        int p[2];

        (void) signal(SIGPIPE, SIG_IGN);
        f = (Fixture){0};
        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(loop_new(&f.loop), 0);
        assert_int_equal(char_output_init_consume(&f.output, f.loop, p[1], CHAR_BYTES), 0);
        f.reader = p[0];
        fd_set_nonblock(f.reader, true);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        char_output_deinit(&f->output);
        loop_free(f->loop);
        fd_close(f->reader);
        return 0;
}

static void write_text(Fixture *f, const char *text) {
        char_output_write(&f->output, (const uint8_t *) text, strlen(text));
}

static void test_a_line_is_written_when_it_ends(void **state) {
        Fixture *f = *state;
        char text[32] = "";

        write_text(f, "one ");
        assert_int_equal(read(f->reader, text, sizeof(text)), -1);
        write_text(f, "line\n");
        assert_int_equal(read(f->reader, text, sizeof(text)), 9);
        assert_string_equal(text, "one line\n");
}

static void test_a_full_buffer_is_written_without_a_line_end(void **state) {
        Fixture *f = *state;
        uint8_t data[CHAR_GATHER_SIZE + 10] = {0}, got[sizeof(data)];

        char_output_write(&f->output, data, sizeof(data));
        assert_int_equal(read(f->reader, got, sizeof(got)), CHAR_GATHER_SIZE);
}

static void count_input(void *userdata, int fd, uint32_t events) {
        Fixture *f = userdata;
        uint8_t buf[4096];
        ssize_t n = read(fd, buf, sizeof(buf));

        if (n > 0) {
                f->n_read += (size_t) n;
                f->last = buf[n - 1];
        }
        if (f->n_read >= f->n_wanted)
                loop_exit(f->loop);
}

/* Runs the loop until @n bytes have arrived at the reader. */
static void read_through_loop(Fixture *f, size_t n) {
        LoopSource *source;

        f->n_wanted = n;
        assert_int_equal(loop_add_fd(f->loop, f->reader, EPOLLIN, count_input, f, &source), 0);
        assert_int_equal(loop_run(f->loop), 0);
        loop_remove(source);
        assert_int_equal(f->n_read, n);
}

static void test_an_unfinished_line_is_written_soon(void **state) {
        Fixture *f = *state;

        write_text(f, "login: ");
        read_through_loop(f, 7);
        write_text(f, "again: ");
        read_through_loop(f, 14);
}

static size_t fill_pipe(Fixture *f) {
        return (size_t) fcntl(f->reader, F_GETPIPE_SZ);
}

static void test_a_slow_reader_gets_the_backlog_through_the_loop(void **state) {
        Fixture *f = *state;
        size_t total = fill_pipe(f) + CHAR_BACKLOG_MAX / 2;
        uint8_t *data = calloc(1, total);

        assert_non_null(data);
        data[total - 1] = '\n';
        char_output_write(&f->output, data, total);
        free(data);
        assert_true(f->output.backlog_len > 0);
        read_through_loop(f, total);
        assert_int_equal(f->last, '\n');
        assert_int_equal(char_output_dropped_bytes(&f->output), 0);
        assert_null(f->output.backlog);
}

static void test_beyond_the_backlog_output_is_dropped_and_counted(void **state) {
        Fixture *f = *state;
        size_t total = fill_pipe(f) + CHAR_BACKLOG_MAX + 5000;
        uint8_t *data = calloc(1, total);

        assert_non_null(data);
        char_output_write(&f->output, data, total);
        char_output_write(&f->output, (const uint8_t *) "\n", 1);
        free(data);
        assert_in_range(f->output.backlog_len, CHAR_BACKLOG_MAX, CHAR_BACKLOG_MAX);
        assert_int_equal(char_output_dropped_bytes(&f->output), 5001);
        read_through_loop(f, total - 5000);
}

static void test_a_reader_that_left_costs_nothing_but_the_count(void **state) {
        Fixture *f = *state;

        f->reader = fd_close(f->reader);
        for (unsigned i = 0; i < 1000; i++)
                write_text(f, "nobody reads this\n");
        assert_int_equal(char_output_dropped_bytes(&f->output), 18000);
        assert_null(f->output.backlog);
}

static void test_draining_waits_for_a_reader_but_not_for_ever(void **state) {
        Fixture *f = *state;
        size_t total = fill_pipe(f) + 100;
        uint8_t *data = calloc(1, total), got[4096];
        uint64_t due = clock_monotonic_nsec() + 10 * USEC_PER_MSEC * NSEC_PER_USEC;

        assert_non_null(data);
        char_output_write(&f->output, data, total);
        free(data);
        char_output_drain(&f->output, due);
        assert_true(clock_monotonic_nsec() >= due);
        assert_int_equal(f->output.backlog_len, 100);
        assert_true(read(f->reader, got, sizeof(got)) > 0);
        char_output_drain(&f->output, clock_monotonic_nsec() + 10 * NSEC_PER_SEC);
        assert_int_equal(f->output.backlog_len, 0);
}

static void test_draining_writes_an_unfinished_line(void **state) {
        Fixture *f = *state;
        char text[32] = "";

        write_text(f, "last words");
        char_output_drain(&f->output, 0);
        assert_int_equal(read(f->reader, text, sizeof(text)), 10);
        assert_string_equal(text, "last words");
}

static void test_regular_files_are_written_directly(void **state) {
        Fixture *f = *state;
        CharOutput output = {0};
        int fd = memfd_create("output", MFD_CLOEXEC), kept;
        char text[16] = "";

        assert_true(fd >= 0);
        kept = dup(fd);
        assert_int_equal(char_output_init_consume(&output, f->loop, fd, CHAR_BYTES), 0);
        assert_null(output.source);
        char_output_write(&output, (const uint8_t *) "to a file\n", 10);
        assert_int_equal(pread(kept, text, sizeof(text), 0), 10);
        assert_string_equal(text, "to a file\n");
        char_output_deinit(&output);
        fd_close(kept);
}

static void test_a_file_that_takes_no_more_drops_and_counts(void **state) {
        Fixture *f = *state;
        CharOutput output = {0};
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

        if (fd < 0) {
                print_message("no /dev/full\n");
                skip();
        }
        assert_int_equal(char_output_init_consume(&output, f->loop, fd, CHAR_BYTES), 0);
        char_output_write(&output, (const uint8_t *) "line\n", 5);
        assert_int_equal(char_output_dropped_bytes(&output), 5);
        char_output_deinit(&output);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_line_is_written_when_it_ends, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_full_buffer_is_written_without_a_line_end,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_unfinished_line_is_written_soon, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_slow_reader_gets_the_backlog_through_the_loop, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_beyond_the_backlog_output_is_dropped_and_counted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_reader_that_left_costs_nothing_but_the_count,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_draining_waits_for_a_reader_but_not_for_ever,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_draining_writes_an_unfinished_line, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_regular_files_are_written_directly, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_file_that_takes_no_more_drops_and_counts,
                                                setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
