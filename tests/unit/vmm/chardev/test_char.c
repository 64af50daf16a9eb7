/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "vmm/chardev/char.h"
#include "vmm/chardev/record.h"

typedef struct Fixture {
        Loop *loop;
        char dir[32];
        char path[64];
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){.dir = "/tmp/test_char.XXXXXX"};
        assert_non_null(mkdtemp(f.dir));
        (void) snprintf(f.path, sizeof(f.path), "%s/output", f.dir);
        assert_int_equal(loop_new(&f.loop), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        loop_free(f->loop);
        (void) unlink(f->path);
        return rmdir(f->dir);
}

static void write_text(CharDev *dev, const char *text) {
        char_write(dev, (const uint8_t *) text, strlen(text));
}

static void test_a_sink_takes_everything_and_drops_nothing(void **state) {
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        const VmmSerial config = {.type = VMM_SERIAL_SINK};

        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        write_text(dev, "anything\n");
        char_set_handler(dev, &(CharHandler){0});
        char_input_ready(dev);
        char_drain(dev, 0);
        assert_int_equal(char_dropped_bytes(dev), 0);
}

static void test_a_file_is_created_and_then_appended_to(void **state) {
        Fixture *f = *state;
        const VmmSerial config = {.type = VMM_SERIAL_FILE, .path = f->path};
        char text[32] = "";
        int fd;

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(char_freep) CharDev *dev = NULL;

                assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
                write_text(dev, i ? "two\n" : "one\n");
        }
        fd = open(f->path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, text, sizeof(text)), 8);
        assert_string_equal(text, "one\ntwo\n");
        fd_close(fd);
}

static void test_a_named_pipe_waits_for_its_reader_without_blocking_us(void **state) {
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        const VmmSerial config = {.type = VMM_SERIAL_FILE, .path = f->path};
        char text[32] = "";
        int fd;

        assert_int_equal(mkfifo(f->path, 0600), 0);
        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        write_text(dev, "early\n");
        fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_int_equal(read(fd, text, sizeof(text)), 6);
        fd_close(fd);
        write_text(dev, "later\n");
        assert_int_equal(char_dropped_bytes(dev), 0);
}

static void test_an_inherited_descriptor_is_duplicated(void **state) {
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        char path[32], text[16] = "";
        const VmmSerial config = {.type = VMM_SERIAL_FILE, .path = path};
        int p[2];

        assert_int_equal(pipe(p), 0);
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        fd_close(p[1]);
        write_text(dev, "still open\n");
        assert_int_equal(read(p[0], text, sizeof(text)), 11);
        fd_close(p[0]);
}

static void test_what_cannot_be_opened_is_named(void **state) {
        Fixture *f = *state;
        CharDev *dev = NULL;
        _cleanup_(text_error_deinit) TextError error = {0}, input_error = {0};
        char path[] = "/nonexistent/output", input[] = "/nonexistent/input";
        const VmmSerial bad_output = {.type = VMM_SERIAL_FILE, .path = path};
        const VmmSerial bad_input = {.type = VMM_SERIAL_SINK, .input = input};

        assert_int_equal(char_new(&bad_output, f->loop, &dev, &error), -ENOENT);
        assert_string_equal(error.message, "cannot write serial output to /nonexistent/output: "
                                           "No such file or directory");
        assert_int_equal(char_new(&bad_input, f->loop, &dev, &input_error), -ENOENT);
        assert_string_equal(input_error.message,
                            "cannot read serial input from /nonexistent/input: "
                            "No such file or directory");
        assert_null(dev);
}

static void test_contradictions_are_refused(void **state) {
        Fixture *f = *state;
        CharDev *dev = NULL;
        char input[] = "/dev/null";
        const VmmSerial no_path = {.type = VMM_SERIAL_FILE};
        const VmmSerial two_inputs = {.type = VMM_SERIAL_SINK, .std_in = true, .input = input};

        assert_int_equal(char_new(&no_path, f->loop, &dev, NULL), -EINVAL);
        assert_int_equal(char_new(&two_inputs, f->loop, &dev, NULL), -EINVAL);
        assert_null(dev);
}

/* A socket of @type that is bound to the fixture's path. */
static int bound_socket(const Fixture *f, int type) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
        assert_int_equal(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void test_each_line_is_a_message_of_a_datagram_socket(void **state) {
        static const char *const lines[] = {"one", "", "two", "half a line", "a last word"};
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        const VmmSerial config = {.type = VMM_SERIAL_UNIX, .path = f->path};
        int fd = bound_socket(f, SOCK_DGRAM);
        char text[CHAR_RECORD_MAX + 1], longest[CHAR_RECORD_MAX + 1];

        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        write_text(dev, "one\n\r\ntwo\r\nhalf");
        write_text(dev, " a line\n");
        memset(longest, 'x', CHAR_RECORD_MAX);
        char_write(dev, (const uint8_t *) longest, CHAR_RECORD_MAX);
        write_text(dev, "a last word");
        for (size_t i = 0; i < 4; i++) {
                ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);

                assert_int_equal(n, strlen(lines[i]));
                assert_memory_equal(text, lines[i], (size_t) n);
        }
        assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), CHAR_RECORD_MAX);
        assert_memory_equal(text, longest, CHAR_RECORD_MAX);
        assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
        char_drain(dev, 0);
        assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), strlen(lines[4]));
        assert_int_equal(char_dropped_bytes(dev), 0);
        fd_close(fd);
}

static void stop_loop(void *userdata) {
        loop_exit(userdata);
}

/* More than a socket keeps: the rest goes when there is room, in order and line by line. */
static void test_lines_wait_for_a_slow_reader_of_messages(void **state) {
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        const VmmSerial config = {.type = VMM_SERIAL_UNIX, .path = f->path};
        int fd = bound_socket(f, SOCK_DGRAM);
        char text[64], expected[64];
        LoopSource *timer;

        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        for (unsigned i = 0; i < 2000; i++) {
                (void) snprintf(text, sizeof(text), "line %u\n", i);
                write_text(dev, text);
        }
        assert_int_equal(loop_add_timer(f->loop, stop_loop, f->loop, &timer), 0);
        for (unsigned i = 0; i < 2000; i++) {
                ssize_t n;

                while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) < 0) {
                        assert_int_equal(loop_set_timer(timer, clock_monotonic_nsec() + 1000000),
                                         0);
                        assert_int_equal(loop_run(f->loop), 0);
                }
                (void) snprintf(expected, sizeof(expected), "line %u", i);
                assert_int_equal(n, strlen(expected));
                assert_memory_equal(text, expected, (size_t) n);
        }
        assert_int_equal(char_dropped_bytes(dev), 0);
        fd_close(fd);
}

typedef struct StreamTest {
        Loop *loop;
        char got[16];
} StreamTest;

static size_t receive_word(void *frontend, const uint8_t *data, size_t len) {
        StreamTest *test = frontend;

        assert_true(len < sizeof(test->got));
        memcpy(test->got, data, len);
        loop_exit(test->loop);
        return len;
}

static void test_a_stream_socket_is_for_output_and_if_wanted_for_input(void **state) {
        Fixture *f = *state;
        const VmmSerial config = {
                .type = VMM_SERIAL_UNIX_STREAM, .path = f->path, .input_unix_stream = true};
        int listener = bound_socket(f, SOCK_STREAM), fd;
        _cleanup_(char_freep) CharDev *dev = NULL;
        StreamTest test = {.loop = f->loop};
        CharDev *none = NULL;
        char text[16] = "";

        assert_int_equal(char_new(&config, f->loop, &none, NULL), -ECONNREFUSED);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        char_set_handler(dev, &(CharHandler){.receive = receive_word, .frontend = &test});
        fd = accept(listener, NULL, NULL);
        write_text(dev, "hello\n");
        assert_int_equal(recv(fd, text, sizeof(text), 0), 6);
        assert_string_equal(text, "hello\n");
        assert_int_equal(send(fd, "input", 5, 0), 5);
        assert_int_equal(loop_run(f->loop), 0);
        assert_string_equal(test.got, "input");
        fd_close(fd);
        fd_close(listener);
}

static void test_lines_begin_with_the_time_if_wanted(void **state) {
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        const VmmSerial config = {.type = VMM_SERIAL_FILE, .path = f->path, .out_timestamp = true};
        unsigned year, month, day, hour, minute, second, nsec;
        char line[128];
        FILE *file;

        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        write_text(dev, "o");
        write_text(dev, "ne\nt");
        write_text(dev, "wo\n");
        file = fopen(f->path, "re");
        assert_non_null(file);
        for (unsigned i = 0; i < 2; i++) {
                char word[8];

                assert_non_null(fgets(line, sizeof(line), file));
                assert_int_equal(sscanf(line, "[ %4u-%2u-%2u %2u:%2u:%2u.%9u ]: %7s", &year, &month,
                                        &day, &hour, &minute, &second, &nsec, word),
                                 8);
                assert_string_equal(word, i == 0 ? "one" : "two");
        }
        assert_null(fgets(line, sizeof(line), file));
        assert_int_equal(fclose(file), 0);
}

static void test_lines_for_the_log_are_lines_of_the_log(void **state) {
        Fixture *f = *state;
        _cleanup_(char_freep) CharDev *dev = NULL;
        const VmmSerial config = {.type = VMM_SERIAL_SYSLOG};
        const int saved = fd_dup_cloexec(STDERR_FILENO);
        char text[128] = "";
        int p[2];

        assert_int_equal(pipe(p), 0);
        assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
        assert_int_equal(char_new(&config, f->loop, &dev, NULL), 0);
        write_text(dev, "one\r\nt\033wo\nthree");
        assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
        assert_true(read(p[0], text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "vivarium: info: one\nvivarium: info: t?wo\n");
        fd_close(p[0]);
        fd_close(p[1]);
        fd_close(saved);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_sink_takes_everything_and_drops_nothing,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_file_is_created_and_then_appended_to, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_named_pipe_waits_for_its_reader_without_blocking_us, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(test_an_inherited_descriptor_is_duplicated, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_cannot_be_opened_is_named, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_contradictions_are_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_each_line_is_a_message_of_a_datagram_socket,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_lines_wait_for_a_slow_reader_of_messages,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_stream_socket_is_for_output_and_if_wanted_for_input, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(test_lines_begin_with_the_time_if_wanted, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_lines_for_the_log_are_lines_of_the_log, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
