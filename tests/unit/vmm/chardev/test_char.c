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
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/chardev/char.h"

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
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
